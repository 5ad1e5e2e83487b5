"""A program that uses an agent."""

import asyncio
import sys

from bmad.agents.Agent.ProductOwner.product_owner import ProductOwnerAgent

sys.stdout.write(f"{asyncio.run(ProductOwnerAgent().create_user_story(sys.argv[1]))}\n")
