"""What runs inside a model process."""
