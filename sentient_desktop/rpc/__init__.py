"""Connect RPC over HTTP/1.1 with the JSON codec: the dialect the official SDKs speak to envd."""
