"""What `limbeck augment` is made of."""
