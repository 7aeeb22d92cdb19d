"""The name under which the page sends to the queue, and gets results from it."""

PAGE = "WEB"
