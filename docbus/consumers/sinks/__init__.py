"""Where documents are filed: the port every DMS adapter has, and the adapters (design D11)."""
