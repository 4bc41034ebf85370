"""The built-in typologies: one generator function each.

`MODULES` is the explicit list the registry is built from; a new file is added here.
"""

from banksim.fraud.typologies import (
    account_takeover,
    card_testing,
    identity_theft,
    large_amount,
    mule_network,
    online_fraud,
    structuring,
    unusual_location,
    velocity_attack,
)

MODULES = (
    account_takeover,
    card_testing,
    identity_theft,
    large_amount,
    mule_network,
    online_fraud,
    structuring,
    unusual_location,
    velocity_attack,
)
