"""The interfaces of external systems that the steps use. A module contains a protocol and its values.

The docstrings are the contract. tests/contracts runs the same tests against every implementation, in memory and real.
All ports raise TransientError (AwsUnavailableError, MongoUnavailableError) if the other side does not respond or asks
for a retry. Ports do not pass on other errors of boto3, pymongo or the network.
"""
