"""The hospital's side: identities taken out, objects with the answer written, and the network that carries them."""
