"""CloudFormation: stacks of the resource types that the project's templates use, for real."""
