"""The tables that a queue keeps its books in, and how those of an older node become them."""

from __future__ import annotations

import sqlite3

VERSION = 2  # `user_version` of the file; one that has none is of the first nodes
STATES = ("waiting", "answering", "answered", "refused", "failed", "undelivered")
IN_VAIN = ("refused", "failed", "undelivered")  # an image that ended so and is sent again is read again
ENDED = ("answered", *IN_VAIN)
OUTCOMES = ("positive", "negative", "not analysed", "failed")
_IMAGES = f"""
    ticket TEXT PRIMARY KEY,
    image TEXT NOT NULL,  -- hash of its SOP Instance UID
    content TEXT NOT NULL DEFAULT '',  -- hash of its data set
    sender TEXT NOT NULL,
    receivers TEXT NOT NULL DEFAULT '',  -- titles, a JSON list
    reader TEXT NOT NULL DEFAULT '',  -- what answered it: models, params, settings
    state TEXT NOT NULL CHECK (state IN {STATES}),
    outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN {("", *OUTCOMES)}),  -- '': not known yet
    reason TEXT NOT NULL DEFAULT '',  -- why it was not read
    fault TEXT NOT NULL DEFAULT '',  -- why a result of it was not taken
    received REAL NOT NULL,
    finished REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0  -- whether an alert of it was sent
"""
_DELIVERIES = """
    ticket TEXT NOT NULL REFERENCES images (ticket),
    peer TEXT NOT NULL,
    file TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    failing REAL,  -- since when; null: not tried yet
    PRIMARY KEY (ticket, peer, file)
"""
# The first nodes had one reason for all, and called an image that they had given up refused.
_FROM_FIRST = """
INSERT INTO new_images (ticket, image, sender, state, outcome, reason, fault, received, finished, tries)
SELECT ticket, ticket, sender,
    CASE WHEN given_up THEN 'failed' ELSE state END,
    CASE WHEN given_up THEN 'failed' WHEN state = 'refused' THEN 'not analysed' ELSE '' END,
    CASE state WHEN 'refused' THEN reason ELSE '' END,
    CASE state WHEN 'refused' THEN '' ELSE reason END,
    received, finished, tries
FROM (SELECT *, state = 'refused' AND reason IN ('not read in 3 tries', 'its file is gone from the node''s folder')
    AS given_up FROM images)
"""


def prepare(base: sqlite3.Connection) -> None:
    """Make the tables where there are none; those of an older node become ones of today, in one step.

    Raises:
        ValueError: they are of a newer node.
    """
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    require(version, at_least=0)
    base.execute("BEGIN IMMEDIATE")
    try:
        known = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'images'").fetchone()
        base.execute(f"CREATE TABLE new_images ({_IMAGES})")
        if known:
            base.execute(_FROM_FIRST)
            base.execute("DROP TABLE images")
        base.execute("ALTER TABLE new_images RENAME TO images")
        base.execute(f"CREATE TABLE IF NOT EXISTS deliveries ({_DELIVERIES})")
        base.execute("CREATE INDEX by_state ON images (state, received)")
        base.execute("CREATE INDEX by_image ON images (image)")
        base.execute("CREATE INDEX by_received ON images (received, ticket)")  # a list begins with the newest
        base.execute("CREATE INDEX IF NOT EXISTS by_peer ON deliveries (peer, due)")
        base.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        base.execute("ROLLBACK")
        raise
    base.execute("COMMIT")


def require(version: int, at_least: int = VERSION) -> None:
    """Refuse books that this project cannot use as they are.

    Raises:
        ValueError: they are of a newer node, or older than `at_least`.
    """
    if version > VERSION:
        raise ValueError(
            f"the node's folder is of a newer version of this project ({version}, this one knows {VERSION})"
        )
    if version < at_least:
        raise ValueError("the node's folder is of an older version of this project; start the node on it once")
