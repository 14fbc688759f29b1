"""What `limbeck bench` is made of."""
