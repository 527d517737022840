"""Behind ``build_pipeline.py``: one module for each noun of the build side's command line."""
