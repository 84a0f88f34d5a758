"""What is planned: axes to members, checks, identity and keys, buckets, waves, bytes."""
