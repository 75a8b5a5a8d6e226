"""Names of containers: their grammar, and new ones for those that come without (pure)."""

import random
import re
from typing import Final

from pinnace import errors

CHARACTERS: Final = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
GRAMMAR: Final = re.compile(rf"{CHARACTERS}+\Z")

_ADJECTIVES: Final = """
able agile alert amber ample apt arctic artful autumn avid azure balmy beaming bold bonny brave
breezy bright brisk calm candid capable careful cheery civil classic clear clever coastal
cordial cosmic courtly crisp curious daring dapper dawning deft diligent eager earnest eastern
easy elated elegant epic exact fabled faithful fearless festive fleet fluent fond frank fresh
frosty gallant gentle gifted glad gleaming golden graceful grand grateful happy hardy hearty
helpful honest humble ideal inventive jolly jovial keen kind lasting lively logical loyal lucid
lucky magnetic mellow merry mighty mindful modest musing neat nimble noble northern novel open
orderly patient peaceful placid playful pleasant plucky polite prompt proud quaint quick quiet
radiant rapid ready refined resolute robust rustic sage serene sharp shining silent silver
sincere sleek smooth snappy solid spirited stable steady sterling still stoic sturdy subtle
sunny swift tactful tender thrifty tidal tidy timely tranquil trusty upbeat valiant vast verdant
vigilant vivid warm watchful western willing windy winning witty worthy young zealous zesty
""".split()  # noqa: SIM905 - a page of quotes is no easier to read

# People of science, of seafaring and of the stars.
_SURNAMES: Final = """
abel agnesi al_idrisi ampere amundsen anning apgar archimedes aryabhata avogadro babbage baffin
banach banks barents bayes becquerel bell bering bernoulli bessel bohr boltzmann bombe boole
borel born bose boyle brahe brahmagupta cabot cannon cantor carson cauchy cavendish chadwick
chandra chebyshev clausius cochrane cook copernicus coulomb crick curie cuvier darwin davy
dedekind descartes dijkstra dirac doppler drake earhart eddington edison ehrlich einstein
eratosthenes euclid euler faraday fermat fermi feynman fibonacci fischer fleming fourier
franklin frege fresnel frobisher galileo galois gauss germain gibbs goddard godel goodall grace
haber hadamard haldane halley hamilton hawking heaviside heisenberg helmholtz henry herschel
hertz hilbert hodgkin hooke hopper hubble hudson humboldt hutton huygens hypatia jacobi jenner
joliot joule kelvin kepler khwarizmi koch kovalevskaya lagrange lamarr laplace lavoisier leavitt
leibniz linnaeus lobachevsky lovelace magellan malpighi marconi maxwell mayer mcclintock meitner
mendel mendeleev mercator michelson mitchell moser nansen napier nash newton nightingale noether
ohm oppenheimer pascal pasteur pauli pauling payne peano planck poincare poisson priestley
ptolemy pythagoras ramanujan ramsay ride riemann ritchie robinson roentgen ross rubin rutherford
sagan sabin salk schrodinger shackleton shannon snell somerville stokes strutt tasman tereshkova
tesla thales thompson torricelli turing vespucci volta wallace watt weber wegener weyl wiener
wilson wright wu yalow young yukawa zeeman zheng
""".split()  # noqa: SIM905


def check(name: str) -> str:
    """The name without its slash; raises errors.Invalid as Docker does."""
    plain = name.removeprefix("/")
    if not GRAMMAR.match(plain):
        raise errors.Invalid(f"Invalid container name ({name}), only {CHARACTERS} are allowed")
    return plain


def generate(attempt: int, *, source: random.Random | None = None) -> str:
    """adjective_surname, from the second attempt on with a digit behind."""
    choose = source or random
    name = f"{choose.choice(_ADJECTIVES)}_{choose.choice(_SURNAMES)}"
    return f"{name}{choose.randrange(10)}" if attempt else name


def taken(name: str, ident: str) -> errors.Conflict:
    """What to raise when the name is another container's."""
    return errors.Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{ident}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
