"""Request bodies that describe a customer: alone, or within an order, a publication, a redemption (facts 3.5)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from counterfoil.domain.customers import ADDRESS, CustomerDraft, birth_date
from counterfoil.web.voucherify.bodies import Body, Document, Name, Text

Day = Annotated[Text, AfterValidator(birth_date)]
"""An ISO date, or an instant of which only the date counts."""


class AddressBody(Body):
    """Parts of an address; those left out stay as they are."""

    city: Text | None = None
    state: Text | None = None
    line_1: Text | None = None
    line_2: Text | None = None
    country: Text | None = None
    postal_code: Text | None = None


class CustomerProfileBody(Body):
    """What may be said of a customer besides who it is (Voucherify: Update Customer)."""

    name: Text | None = None
    description: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    birthday: Day | None = None
    birthdate: Day | None = None
    address: AddressBody | None = None
    metadata: Document | None = None

    def draft(self) -> CustomerDraft:
        """The draft without an id."""
        said = {
            name: getattr(self, name) for name in ("name", "description", "email", "phone", "birthday", "birthdate")
        }
        if self.address is not None:
            said |= {f"address_{part}": getattr(self.address, part) for part in ADDRESS}
        profile = {column: text for column, text in said.items() if text is not None}
        return CustomerDraft(profile=profile, metadata=self.metadata)


class CustomerBody(CustomerProfileBody):
    """A customer to make or update (Voucherify: Create Customer)."""

    id: Name | None = None
    source_id: Name | None = None

    def draft(self) -> CustomerDraft:
        """The draft with the ids it names."""
        said = CustomerProfileBody.draft(self)
        return CustomerDraft(self.id, self.source_id, said.profile, said.metadata)
