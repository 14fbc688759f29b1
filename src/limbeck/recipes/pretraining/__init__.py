"""What `limbeck pretrain` is made of."""
