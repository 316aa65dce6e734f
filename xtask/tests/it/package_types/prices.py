"""Multiplies, with pydantic to check the order: its core is a native wheel."""

import os
from decimal import Decimal

import pydantic_core
from pydantic import BaseModel


class Order(BaseModel):
    quantity: int
    price: Decimal


def handle(event, _context):
    order = Order.model_validate(event)
    # A wheel installed on this machine would work too, but would be missing in Lambda.
    own = pydantic_core.__file__.startswith(os.environ["LAMBDA_TASK_ROOT"])
    return {"total": str(order.quantity * order.price), "says": SAYS, "own": own, "place": PLACE}
