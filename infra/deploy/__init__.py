"""The deployment package for AWS: template, code and layer."""
