"""The command line: a client of the API and of S3, and of nothing else."""
