//! Built-in references, named on the command line as `ref:NAME?key=value&key=value`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Banana, Funnel, ManyWell, Model};
use crate::error::{Error, Result};

mod build;
mod parameters;

use build::{
    boltzmann, forty_modes, gaussian, gaussian_rbm, independent, ising, memory, mixture, potts, rbm, shells,
    spin_glass, student_mixture, two_modes,
};
pub use parameters::Parameters;

/// A model that needs no file, made from a few named parameters; the same parameters make the same model.
#[derive(Clone, Copy)]
pub struct Reference {
    /// As written after `ref:`.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// What may be chosen.
    pub parameters: &'static [Parameter],
    /// Makes it.
    pub build: fn(&Parameters) -> Result<Arc<dyn Model>>,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A parameter of a [`Reference`].
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As written before `=`.
    pub name: &'static str,
    /// Its value where none is given, as it would be written.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn parameter(name: &'static str, default: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, default, meaning }
}

const SEED: Parameter = parameter("seed", "1", "which of the random models");
const SIDE: Parameter = parameter("side", "8", "rows and columns, where these are not given");
const ROWS: Parameter = parameter("rows", "side", "sites from top to bottom");
const COLUMNS: Parameter = parameter("columns", "side", "sites from left to right, or around a ring");
const BOUNDARY: Parameter = parameter("boundary", "torus", "torus, grid (open ends) or ring (one row)");
const UNITS: Parameter = parameter("units", "bits", "bits or spins");

/// All of them, as `lnz list` shows them.
pub const REFERENCES: &[Reference] = &[
    Reference {
        name: "gaussian",
        summary: "a correlated normal distribution with a mean and a constant",
        parameters: &[parameter("dim", "10", "dimension"), SEED],
        build: gaussian,
    },
    Reference {
        name: "mixture",
        summary: "separated normal modes of unequal weights and widths",
        parameters: &[
            parameter("dim", "2", "dimension"),
            parameter("modes", "5", "components"),
            parameter("separation", "5", "standard deviation of the modes' centres; widths are about 1"),
            SEED,
        ],
        build: mixture,
    },
    Reference {
        name: "two-modes",
        summary: "a wide normal mode at 0 and a narrow one far away: easy to miss",
        parameters: &[
            parameter("dim", "10", "dimension"),
            parameter("separation", "20", "distance of the modes, in widths of the wide one"),
            parameter("width-ratio", "0.1", "width of the narrow mode, the wide one's being 1"),
            parameter("weight", "3", "mass of the narrow mode, the wide one's being 1"),
        ],
        build: two_modes,
    },
    Reference {
        name: "forty-modes",
        summary: "forty equal normal modes scattered over a square in the plane",
        parameters: &[SEED],
        build: forty_modes,
    },
    Reference {
        name: "student-mixture",
        summary: "separated modes of unequal weights with heavy tails: multivariate Student t distributions",
        parameters: &[
            parameter("dim", "50", "dimension"),
            parameter("modes", "10", "components"),
            parameter("freedom", "2", "degrees of freedom"),
            parameter("extent", "10", "centres are uniform between minus and plus this in each coordinate"),
            SEED,
        ],
        build: student_mixture,
    },
    Reference {
        name: "gaussian-shells",
        summary: "two thin spherical shells side by side",
        parameters: &[
            parameter("dim", "2", "dimension"),
            parameter("radius", "2", "their radius; the centres are 7 apart"),
            parameter("width", "0.1", "standard deviation across a shell"),
        ],
        build: shells,
    },
    Reference {
        name: "banana",
        summary: "a long normal distribution bent along a parabola",
        parameters: &[
            parameter("dim", "2", "dimension, at least 2"),
            parameter("bend", "0.1", "curvature; 0.03 is mild"),
        ],
        build: |given| Ok(Arc::new(Banana::new(given.count("dim", 100_000)?, given.any_number("bend")?)?)),
    },
    Reference {
        name: "funnel",
        summary: "Neal's funnel: scales from e^-9 to e^9 in one distribution",
        parameters: &[parameter("dim", "10", "dimension, at least 2")],
        build: |given| Ok(Arc::new(Funnel::new(given.count("dim", 100_000)?)?)),
    },
    Reference {
        name: "many-well",
        summary: "2^(dim/2) separated modes from double wells",
        parameters: &[parameter("dim", "32", "dimension, even")],
        build: |given| Ok(Arc::new(ManyWell::new(given.count("dim", 100_000)?)?)),
    },
    Reference {
        name: "independent",
        summary: "independent bits",
        parameters: &[parameter("dim", "100", "bits"), SEED],
        build: independent,
    },
    Reference {
        name: "ising",
        summary: "the Ising model with one coupling and one field",
        parameters: &[
            SIDE,
            ROWS,
            COLUMNS,
            parameter("coupling", "0.44", "J, critical on a large torus at 0.4407"),
            parameter("field", "0", "h"),
            BOUNDARY,
        ],
        build: ising,
    },
    Reference {
        name: "potts",
        summary: "the Potts model with one coupling and a field on state 0",
        parameters: &[
            SIDE,
            ROWS,
            COLUMNS,
            parameter("states", "3", "values of a site"),
            parameter("coupling", "1", "J, critical on a large torus at log(1 + sqrt(states))"),
            parameter("field", "0", "h of state 0; the other states have 0"),
            BOUNDARY,
        ],
        build: potts,
    },
    Reference {
        name: "spin-glass",
        summary: "an Edwards-Anderson spin glass: random couplings on a lattice",
        parameters: &[
            SIDE,
            ROWS,
            COLUMNS,
            parameter("coupling", "1", "standard deviation of the couplings"),
            parameter("disorder", "gaussian", "gaussian or plus-minus couplings"),
            parameter("field", "0", "h of every spin"),
            BOUNDARY,
            SEED,
        ],
        build: spin_glass,
    },
    Reference {
        name: "boltzmann",
        summary: "a Boltzmann machine with couplings between all units",
        parameters: &[
            parameter("dim", "20", "units"),
            parameter("coupling", "1", "standard deviation of the couplings times the root of dim"),
            UNITS,
            SEED,
        ],
        build: boltzmann,
    },
    Reference {
        name: "rbm",
        summary: "a restricted Boltzmann machine with random weights",
        parameters: &[
            parameter("visible", "100", "visible units"),
            parameter("hidden", "20", "hidden units"),
            parameter("scale", "0.3", "standard deviation of the weights"),
            UNITS,
            SEED,
        ],
        build: rbm,
    },
    Reference {
        name: "memory",
        summary: "a restricted Boltzmann machine with a deep mode at each of some random patterns",
        parameters: &[
            parameter("visible", "200", "visible units"),
            parameter("hidden", "10", "hidden units, one for each pattern"),
            parameter(
                "weight",
                "4",
                "size of all weights: +weight where the pattern has a one, else -weight",
            ),
            parameter("threshold", "0.4", "share of its pattern's ones that a hidden unit must see"),
            SEED,
        ],
        build: memory,
    },
    Reference {
        name: "gaussian-rbm",
        summary: "a Gaussian-Bernoulli restricted Boltzmann machine with random weights",
        parameters: &[
            parameter("visible", "20", "visible units"),
            parameter("hidden", "15", "hidden units"),
            parameter("scale", "0.3", "standard deviation of the weights"),
            parameter("convention", "cho", "how sigma scales the weights: cho (sigma^2) or hinton (sigma)"),
            SEED,
        ],
        build: gaussian_rbm,
    },
];

/// Builds the model that `spec`, `ref:NAME?key=value&key=value`, names; keys not given have their defaults.
///
/// # Errors
/// [`Error::Setting`] for a name, key or value that does not exist, saying which do, and the model's own errors.
///
/// ```
/// use lnz::models::{Model, builtin};
/// let ising = builtin::parse("ref:ising?side=16&coupling=0.3")?;
/// assert_eq!(ising.space().dim, 256);
/// assert!(builtin::parse("ref:ising?temperature=2").is_err());
/// # Ok::<(), lnz::Error>(())
/// ```
pub fn parse(spec: &str) -> Result<Arc<dyn Model>> {
    let refuse = |expected: String| Err(Error::setting("reference", spec, expected));
    let Some(body) = spec.strip_prefix("ref:") else {
        return refuse("a built-in reference is written ref:NAME or ref:NAME?key=value&key=value".into());
    };
    let (name, query) = body.split_once('?').unwrap_or((body, ""));
    let Some(reference) = REFERENCES.iter().find(|reference| reference.name == name) else {
        let names: Vec<&str> = REFERENCES.iter().map(|reference| reference.name).collect();
        return refuse(format!("there is no reference `{name}`, but {}", names.join(", ")));
    };
    let mut values = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return refuse(format!("`{pair}` is not of the form key=value"));
        };
        let Some(parameter) = reference.parameters.iter().find(|parameter| parameter.name == key) else {
            let keys: Vec<&str> = reference.parameters.iter().map(|parameter| parameter.name).collect();
            return refuse(format!("{name} has no parameter `{key}`, but {}", keys.join(", ")));
        };
        if values.insert(parameter.name, value.to_owned()).is_some() {
            return refuse(format!("`{key}` is given twice"));
        }
    }
    (reference.build)(&Parameters { spec: spec.to_owned(), declared: reference.parameters, values })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::math::Stream;
    use crate::models::checks::assert_gradient;
    use crate::models::{Domain, Ising, Lattice, Mixture, downcast};

    fn message(spec: &str) -> String {
        parse(spec).map(|model| format!("{model:?} was built")).expect_err(spec).to_string()
    }

    /// States of any model to evaluate it at.
    fn some_states(model: &dyn Model) -> Array2<f64> {
        let space = model.space();
        let values = space.values();
        Array2::from_shape_fn((3, space.dim), |(row, column)| match &values {
            Some(values) => values[(row * 7 + column * column) % values.len()],
            None => (row as f64 - 0.7) * ((column * 3 + row) as f64).sin(),
        })
    }

    #[test]
    fn every_reference_is_sound_with_its_defaults() {
        for reference in REFERENCES {
            let model = parse(&format!("ref:{}", reference.name)).expect(reference.name);
            let states = some_states(&*model);
            model.space().check(states.view()).expect(reference.name);
            let energies = model.energy(states.view());
            assert!(energies.iter().all(|energy| energy.is_finite()), "{}", reference.name);
            let again = parse(&format!("ref:{}", reference.name)).expect(reference.name);
            assert_eq!(energies, again.energy(states.view()), "{}", reference.name);
            if model.gradient().is_some() {
                assert_eq!(model.space().domain, Domain::Real);
                assert_gradient(&*model, states.view());
            }
            if let Some(sampler) = model.sampler() {
                let draws = sampler.sample(3, &mut Stream::new(1).generator());
                model.space().check(draws.view()).expect(reference.name);
            }
            assert!(!model.facts().is_empty(), "{}", reference.name);
        }
    }

    #[test]
    fn seeds_make_other_models_of_the_same_kind() {
        for reference in REFERENCES.iter().filter(|r| r.parameters.iter().any(|p| p.name == "seed")) {
            let [one, two] =
                [1, 2].map(|seed| parse(&format!("ref:{}?seed={seed}", reference.name)).expect("valid"));
            let states = some_states(&*one);
            assert_ne!(one.energy(states.view()), two.energy(states.view()), "{}", reference.name);
        }
    }

    #[test]
    fn every_parameter_refuses_nonsense_and_every_size_is_capped() {
        for reference in REFERENCES {
            for parameter in reference.parameters {
                for nonsense in ["", "x", "nan", "inf", "1e12", "-1e12", "99999999999999999999"] {
                    let spec = format!("ref:{}?{}={nonsense}", reference.name, parameter.name);
                    assert!(message(&spec).contains(parameter.name), "{spec}");
                }
            }
        }
        assert!(message("ref:gaussian?dim=1e12").contains("whole number from 1 to"));
        assert!(message("ref:ising?rows=1048576&columns=1048576").contains("too many"));
        assert!(message("ref:potts?states=256&side=1024").contains("too many"));
        assert!(message("ref:rbm?visible=16384&hidden=16384").contains("too many"));
        assert!(message("ref:two-modes?width-ratio=0").contains("width-ratio"));
        assert!(message("ref:many-well?dim=3").contains("pairs"));
    }

    #[test]
    fn errors_say_what_exists() {
        assert!(message("ref:gausian").contains("gaussian, mixture"));
        assert!(message("ref:gaussian?dims=3").contains("dim, seed"));
        assert!(message("ref:gaussian?dim").contains("key=value"));
        assert!(message("ref:gaussian?dim=2&dim=3").contains("twice"));
        assert!(message("gaussian").contains("ref:NAME"));
        assert!(message("ref:ising?boundary=ring&rows=3").contains("one row"));
        assert!(message("ref:rbm?units=trits").contains("bits or spins"));
    }

    #[test]
    fn lattices_are_as_described() {
        let lattice =
            |spec: &str| downcast::<Ising>(&parse(spec).expect(spec)).expect("an Ising model").lattice();
        assert_eq!(lattice("ref:ising?side=16"), Lattice::Torus { rows: 16, columns: 16 });
        assert_eq!(lattice("ref:ising?rows=4"), Lattice::Torus { rows: 4, columns: 8 });
        assert_eq!(
            lattice("ref:ising?rows=2&columns=5&boundary=grid"),
            Lattice::Grid { rows: 2, columns: 5 }
        );
        assert_eq!(lattice("ref:ising?side=12&boundary=ring"), Lattice::Ring { sites: 12 });
    }

    #[test]
    fn two_modes_have_their_masses() {
        let model = parse("ref:two-modes?dim=3&weight=7").expect("valid");
        assert!((model.closed_form().expect("a mixture has one") - 8f64.ln()).abs() < 1e-12);
        let mixture = downcast::<Mixture>(&model).expect("a mixture");
        let away = mixture.components()[1].mean();
        assert!((away.dot(away).sqrt() - 20.0).abs() < 1e-12);
    }
}
