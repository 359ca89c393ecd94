"""The networks, alone and as an ensemble, and how well they answer."""
