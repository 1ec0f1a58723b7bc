"""The tests of hats-import, hipscat-import and LSDB themselves, with the stand-ins and with margins made here.

Nothing of them is kept in this repository: their source distributions are downloaded, with pinned digests.
`python -m tests.peers.suites` runs them and writes the counts into the page on migration.
"""
