"""The hospital's side: standard objects with the answer, and the network that carries them."""
