"""Takes events off a Kinesis stream: checks them, and writes them to a table and a bucket."""
