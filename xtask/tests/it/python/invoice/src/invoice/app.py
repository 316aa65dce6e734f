"""The handler: checks the event and adds up."""

from decimal import Decimal

from pydantic import BaseModel, Field

from invoice.totals import totals


class Line(BaseModel):
    """One line of an invoice."""

    description: str
    quantity: int = Field(gt=0)
    unit_price: Decimal = Field(ge=0)


class Invoice(BaseModel):
    """What the event has to be."""

    lines: list[Line] = Field(min_length=1)
    tax_percent: Decimal = Field(default=Decimal(), ge=0, le=100)


def handle(event, _context):
    """Returns net, tax and total as decimal strings."""
    invoice = Invoice.model_validate(event)
    pairs = [(line.quantity, line.unit_price) for line in invoice.lines]
    return {name: str(amount) for name, amount in totals(pairs, invoice.tax_percent).items()}
