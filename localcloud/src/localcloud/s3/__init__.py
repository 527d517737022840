"""Amazon S3 on disk: an object is a read-only file and a row; the wire is S3's own REST-XML."""

from localcloud.s3.app import S3Application
from localcloud.s3.objects import ObjectStore
from localcloud.s3.stored import Attributes, StoredObject

__all__ = ["Attributes", "ObjectStore", "S3Application", "StoredObject"]
