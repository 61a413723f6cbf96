"""What api and worker tell each other: a brief down, events up, orders and status across.

        brief.py      api ──POST brief──────────────────────────► CallBrief   (once for each attempt)
        events.py     api ◄─POST events, batches, at least once── CallEvent   (accepted once)
        websocket.py  api ◄─WebSocket: Hello, Status────────────  the worker's supervisor
                      api ──WebSocket: HangUp, Order, TryFunction─►
                      api ◄─WebSocket: Obeyed, FunctionTried──────
                      api ──WebSocket: Dial, Withdraw, TakeUp───►  its exchange, where it has one
        phones.py     api ◄─POST PhoneRang, PhoneTold─────────────  what the exchange is called for,
                                                                    and how dialling goes
        actions.py    what an Order has a running call do

The field `version` of `CallBrief` is raised when an older worker could misread a newer api. Both
sides ignore fields they do not know.
"""
