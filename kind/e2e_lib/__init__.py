"""What `kind/e2e` is made of."""
