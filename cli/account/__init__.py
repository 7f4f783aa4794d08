"""What an AWS account has for a deployment, before it begins; all calls only read."""
