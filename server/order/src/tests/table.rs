//! Every step in every state, legal or not, as a table in the docs.
