"""Answer the host while the server is still being imported.

Importing the SDK takes about a second, twelve on a cold machine (IBM/AssetOpsBench#335), seventeen on a
small one (palewire/datawrapper-mcp#82); hosts give up on a server, or leave its tools out of the first
turn, in less: Cline's command line after 1.5 s, the SDK of OpenAI's agents after 5. What they ask first has
the same answer every time, so a prologue gives it::

    cli ── claims the wire ──┬── Prologue (thread): reads, answers from manifest.json, holds the rest
                             └── main thread: imports the SDK, then serves what was held and goes on

* ``manifest.json`` holds what the real server answers, for every protocol revision. It is made by
  the real server (``make manifest``), and a test compares the two, answer by answer.
* ``answers`` is pure: it decides which lines it may answer. Whatever it is not sure of, and every
  request after something it could not read, waits for the server; nothing is refused here, unless there
  will be no server.
* ``prologue`` is the thread, and the hand-over. The requests that decided the protocol revision are
  served again, with the answers unwritten, so that the server comes to the state the host has seen.

Standard library only: nothing here may import what the prologue is there to hide.
``RUNAPI_MCP_FAST_BOOT=0`` turns it off.
"""
