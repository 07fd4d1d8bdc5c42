//! Goal: soon. Method: soon.
