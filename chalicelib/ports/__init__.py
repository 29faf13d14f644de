"""The interfaces of external systems that the steps use. A module contains a protocol and its values.

The docstrings are the contract: tests/contracts holds every implementation, in memory and real, to them. All ports
raise TransientError (AwsUnavailableError, MongoUnavailableError) when the other side does not answer or asks for a
retry. No other error of boto3, pymongo or the network passes a port.
"""
