"""What `errata.confirm` is made of: samples of rows, what is settled before testing, tests, order after them."""
