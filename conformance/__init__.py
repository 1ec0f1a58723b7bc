"""Cases that every tool which makes margins can be held to, and the reference that computed them."""
