"""Reports about a stack: text, Markdown, HTML and SARIF."""
