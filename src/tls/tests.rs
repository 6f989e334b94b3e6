//! What the layer promises.
