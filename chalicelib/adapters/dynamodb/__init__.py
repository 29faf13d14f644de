"""The jobs table in DynamoDB: jobs and everything that is kept with them, one module for each kind of item."""
