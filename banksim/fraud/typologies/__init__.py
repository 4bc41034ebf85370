"""The built-in typologies and decoys: one generator function each.

`MODULES` is the explicit list the registry is built from; a new file is added here.
"""

from banksim.fraud.typologies import (
    account_takeover,
    app_scam,
    card_testing,
    decoys,
    graph_shapes,
    identity_theft,
    large_amount,
    layering,
    mule_network,
    online_fraud,
    smurfing,
    structuring,
    synthetic_identity,
    unusual_location,
    velocity_attack,
)

MODULES = (
    account_takeover,
    app_scam,
    card_testing,
    decoys,
    graph_shapes,
    identity_theft,
    large_amount,
    layering,
    mule_network,
    online_fraud,
    smurfing,
    structuring,
    synthetic_identity,
    unusual_location,
    velocity_attack,
)
