"""The proxy in the pod of a chat: people's requests to the chat, and the chat's requests to the gateway."""
