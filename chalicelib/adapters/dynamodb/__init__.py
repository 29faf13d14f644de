"""The jobs table in DynamoDB. Each kind of item has its own module."""
