"""What a gateway and a model process say to each other, as bytes."""
