//! The geometric path of any energy on a continuous space.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::{BLOCK, Choices, Counts, Ensemble, Path, Pilot};
use crate::error::{Error, Result};
use crate::kernels::{
    EllipticalSlice, Hmc, Kernel, KernelChoice, Mala, RandomWalk, Reference, ReferenceChoice, Walkers,
};
use crate::math::Stream;
use crate::models::{Base, Domain, Model, Space};

mod clusters;
mod ends;
mod ensemble;
mod fit;
mod step_size;

use ends::Counted;
use ensemble::GeometricEnsemble;
use fit::Form;
use step_size::StepSize;

/// What fitted standard deviations are multiplied by, so that the reference is no narrower than the model.
const INFLATION: f64 = 1.2;

/// Fits after which the kind of the reference is settled, so that step sizes are measured in the units that they are used in.
const FITS: usize = 3;
/// Draws of the reference that tell whether walls keep the model's mass away from it.
const PROBES: usize = 64;
/// Most chains of a pilot that fits a reference with many parameters.
const MOST_PILOTS: usize = 1024;

/// log f_β = (1−β) log f₀ + β log f₁, f₀ normalised: on ℝᵈ a normal, a mixture of normals or Student's t, else uniform on a box.
///
/// On ℝᵈ the reference is N(0, 1) in every coordinate until it is fitted to data or a pilot: mean and 1.2 standard deviations; with
/// correlations where these describe half of the states plainly better when fitted to the other half; with modes or heavy tails where
/// these are asked for. A mixture keeps a fifth of its mass in independent normals, for modes that the states lost.
/// The kernel, unless another is asked for, is HMC where the model has a gradient and random-walk Metropolis otherwise, with a step size that depends on β
/// and is fitted to the pilots' acceptance.
#[derive(Clone, Debug)]
pub struct GeometricPath {
    shared: Arc<Shared>,
    kernel: Arc<dyn Kernel>,
    step_size: Arc<StepSize>,
    reference: ReferenceChoice,
    fitted_to_data: bool,
}

#[derive(Clone, Debug)]
struct Shared {
    model: Arc<dyn Model>,
    space: Space,
    /// Mean and standard deviation of f₀ on ℝᵈ; on a box, its centre and a quarter of its sides.
    centre: Vec<f64>,
    spread: Vec<f64>,
    /// Those that the first fit gave: later fits may have lost modes that it still saw.
    explored: Option<(Vec<f64>, Vec<f64>)>,
    /// What else f₀ is on ℝᵈ.
    form: Form,
    /// How often it was fitted.
    fits: usize,
    /// Standard deviations of independent normals that stand in for it.
    wide: Option<Vec<f64>>,
}

impl GeometricPath {
    /// The path of a model on ℝᵈ or a box.
    ///
    /// # Panics
    /// For a model on a finite space.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, data: Option<ArrayView2<'_, f64>>) -> Self {
        Self::chosen(model, data, Choices::default()).expect("what is automatic applies")
    }

    /// The path with the kernel and the kind of reference that were chosen.
    ///
    /// # Errors
    /// [`Error::Setting`] where one of them does not apply: gradients that the model does not have, normals on a box, elliptical
    /// slices of what is not normal.
    ///
    /// # Panics
    /// For a model on a finite space.
    pub fn chosen(
        model: Arc<dyn Model>,
        data: Option<ArrayView2<'_, f64>>,
        choices: Choices,
    ) -> Result<Self> {
        let space = model.space();
        assert!(space.values().is_none(), "this path is for continuous spaces");
        check(&*model, choices)?;
        let kernel: Arc<dyn Kernel> = match choices.kernel {
            KernelChoice::Auto if model.gradient().is_none() => Arc::new(RandomWalk),
            KernelChoice::Auto | KernelChoice::Hmc => Arc::new(Hmc::default()),
            KernelChoice::Mala => Arc::new(Mala),
            KernelChoice::RandomWalk => Arc::new(RandomWalk),
            KernelChoice::EllipticalSlice => Arc::new(EllipticalSlice),
        };
        let (centre, spread) = match &space.domain {
            Domain::Box { lower, upper } => (
                lower.iter().zip(upper).map(|(l, u)| 0.5 * (l + u)).collect(),
                lower.iter().zip(upper).map(|(l, u)| 0.25 * (u - l)).collect(),
            ),
            _ => match model.base() {
                Some(Base::Normal { mean, standard_deviation }) => {
                    (vec![*mean; space.dim], vec![*standard_deviation; space.dim])
                }
                _ => (vec![0.0; space.dim], vec![1.0; space.dim]),
            },
        };
        // An elliptical slice goes round the normal that the model has as a factor.
        let kept = choices.kernel == KernelChoice::EllipticalSlice
            && matches!(model.base(), Some(Base::Normal { .. }));
        let mut shared = Shared {
            model,
            space,
            centre,
            spread,
            explored: None,
            form: Form::Diagonal,
            fits: 0,
            wide: None,
        };
        let reference = choices.reference;
        if let Some(data) = data.filter(|_| !kept) {
            shared.fit(data, reference);
        }
        Ok(Self {
            shared: Arc::new(shared),
            kernel,
            step_size: Arc::new(StepSize::constant(0.5)),
            reference,
            fitted_to_data: kept || data.is_some_and(|data| data.nrows() > 1),
        })
    }

    /// The same path with another kernel.
    #[must_use]
    pub fn with_kernel(mut self, kernel: Arc<dyn Kernel>) -> Self {
        self.kernel = kernel;
        self
    }

    /// The same path from N(centre, spread²) in each coordinate, on ℝᵈ.
    ///
    /// # Panics
    /// Unless there are `dim` finite centres and positive spreads.
    #[must_use]
    pub fn with_reference(mut self, centre: Vec<f64>, spread: Vec<f64>) -> Self {
        assert!(centre.len() == self.shared.space.dim && spread.len() == centre.len(), "one per coordinate");
        assert!(spread.iter().all(|s| *s > 0.0) && centre.iter().all(|c| c.is_finite()), "a proper normal");
        self.shared = Arc::new(Shared { centre, spread, form: Form::Diagonal, ..(*self.shared).clone() });
        self.fitted_to_data = true;
        self
    }

    /// The same path from a reference `factor` times as wide.
    fn stretched(&self, factor: f64) -> Self {
        self.with_spread(self.shared.spread.iter().map(|spread| factor * spread).collect())
    }

    /// The same path from a reference that lies so many of its standard deviations further along every coordinate.
    fn aside(&self, deviations: f64) -> Self {
        let Shared { centre, spread, .. } = self.shared.as_ref();
        let centre = centre.iter().zip(spread).map(|(centre, spread)| centre + deviations * spread).collect();
        Self { shared: Arc::new(Shared { centre, ..(*self.shared).clone() }), ..self.clone() }
    }

    /// Whether the model forbids all of a few draws of the reference.
    fn is_walled_off(&self) -> bool {
        let draws = self.shared.reference().sample(PROBES, &mut Stream::new(0x7761_6c6c).generator());
        self.shared.model.energy(draws.view()).iter().all(|energy| *energy == f64::INFINITY)
    }

    /// The same path from a reference of another width, with steps of about the same length.
    fn with_spread(&self, spread: Vec<f64>) -> Self {
        // Step sizes are in units of the spread.
        let growth = spread.iter().zip(&self.shared.spread).map(|(new, old)| (new / old).ln()).sum::<f64>();
        let step_size = Arc::new(self.step_size.divided((growth / spread.len() as f64).exp()));
        Self { shared: Arc::new(Shared { spread, ..(*self.shared).clone() }), step_size, ..self.clone() }
    }

    fn block(&self, states: Array2<f64>, stream: Stream) -> Box<dyn Ensemble> {
        let mut ends = Counted {
            model: Arc::clone(&self.shared.model),
            reference: self.shared.reference(),
            counts: Counts::default(),
        };
        let walkers = Walkers::new(states, &mut ends, self.kernel.uses_gradients());
        Box::new(GeometricEnsemble {
            ends,
            walkers,
            kernel: Arc::clone(&self.kernel),
            step_size: Arc::clone(&self.step_size),
            adapted: None,
            generator: stream.generator(),
        })
    }
}

impl Shared {
    /// Fits f₀ to rows of states. A box keeps its uniform reference.
    fn fit(&mut self, states: ArrayView2<'_, f64>, choice: ReferenceChoice) {
        if self.space.domain != Domain::Real || states.nrows() < 2 {
            return;
        }
        let settled = (self.fits >= FITS).then_some(&self.form);
        self.form = fit::fit(states, choice, settled);
        self.fits += 1;
        (self.centre, self.spread) = fit::moments(states);
        if self.explored.is_none() {
            self.explored = Some((self.centre.clone(), self.spread.clone()));
        }
    }

    fn reference(&self) -> Reference {
        match &self.space.domain {
            Domain::Box { lower, upper } => {
                Reference::uniform(lower.clone(), upper.clone(), self.spread.clone())
            }
            _ => match &self.wide {
                Some(wide) => self.form.plain(&self.centre, wide),
                None => self.form.reference(&self.centre, &self.spread),
            },
        }
    }
}

impl Path for GeometricPath {
    fn space(&self) -> Space {
        self.shared.space.clone()
    }

    fn log_z_reference(&self) -> f64 {
        0.0
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        let states = self.shared.reference().sample(chains, &mut stream.child(0).generator());
        self.block(states, stream)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.shared.space.check(states)?;
        let states = match self.shared.reference().frame() {
            Some(frame) => frame.inward(states),
            None => states.to_owned(),
        };
        Ok(self.block(states, stream))
    }

    fn tuned(&self, pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        let mut tuned = self.clone();
        if let Some(step_size) = StepSize::fitted(pilot.rungs) {
            tuned.step_size = Arc::new(step_size);
        }
        if !self.fitted_to_data {
            let mut shared = (*self.shared).clone();
            shared.fit(pilot.states, self.reference);
            if shared.form.choice() != self.shared.form.choice() {
                // Step sizes keep their lengths where the units change.
                let growth =
                    shared.form.log_unit(&shared.spread) - self.shared.form.log_unit(&self.shared.spread);
                tuned.step_size = Arc::new(tuned.step_size.divided(growth.exp()));
            }
            tuned.shared = Arc::new(shared);
        }
        Some(Arc::new(tuned))
    }

    fn explorers(&self) -> Vec<Arc<dyn Path>> {
        if self.fitted_to_data || self.shared.space.domain != Domain::Real {
            return Vec::new();
        }
        let around = |path: Self| [0.3, 1.0, 3.0, 10.0, 30.0].map(|factor| path.stretched(factor));
        let mut explorers = around(self.clone()).to_vec();
        if self.is_walled_off() {
            // Walls mostly ask for one sign of all coordinates.
            let signs = [1.0, -1.0].map(|sign| around(self.clone()).map(|path| path.aside(2.0 * sign)));
            explorers.extend(signs.into_iter().flatten());
        }
        explorers.into_iter().map(|path| Arc::new(path) as Arc<dyn Path>).collect()
    }

    fn finer(&self) -> Option<Arc<dyn Path>> {
        self.kernel.has_step_size().then_some(())?;
        Some(Arc::new(Self { step_size: Arc::new(self.step_size.divided(4.0)), ..self.clone() }))
    }

    fn widened(&self) -> Option<Arc<dyn Path>> {
        if self.shared.space.domain != Domain::Real {
            return None;
        }
        let Shared { centre, spread, explored, .. } = self.shared.as_ref();
        let mut wide: Vec<f64> = spread.iter().map(|spread| 3.0 * spread).collect();
        if let Some((first_centre, first_spread)) = explored {
            for (i, wide) in wide.iter_mut().enumerate() {
                *wide = wide.max((centre[i] - first_centre[i]).abs() + first_spread[i]);
            }
        }
        if matches!(self.shared.form, Form::Diagonal) {
            return Some(Arc::new(self.with_spread(wide)));
        }
        if let Form::Full { .. } = self.shared.form {
            let form = self.shared.form.widened_within(centre, &wide)?;
            let growth = form.log_unit(spread) - self.shared.form.log_unit(spread);
            let step_size = Arc::new(self.step_size.divided(growth.exp()));
            let shared = Arc::new(Shared { form, ..(*self.shared).clone() });
            return Some(Arc::new(Self { shared, step_size, ..self.clone() }));
        }
        let shared = Shared { wide: Some(wide), ..(*self.shared).clone() };
        Some(Arc::new(Self { shared: Arc::new(shared), ..self.clone() }))
    }

    fn pilot_chains(&self) -> usize {
        let usual = super::PILOT_CHAINS;
        if self.fitted_to_data {
            return usual;
        }
        self.shared.form.states(self.shared.space.dim).clamp(usual, MOST_PILOTS)
    }

    /// Large networks want more chains at once, as long as there are blocks enough for many threads.
    fn block_size(&self, chains: usize) -> usize {
        self.shared.model.preferred_rows().map_or(BLOCK, |rows| rows.min(chains / 8).max(BLOCK))
    }

    fn kernel(&self) -> String {
        self.kernel.name().into()
    }

    fn reference(&self) -> Option<String> {
        Some(match &self.shared.space.domain {
            Domain::Box { .. } => "uniform on the box".into(),
            _ => match &self.shared.form {
                Form::Diagonal => "independent normals".into(),
                Form::Full { .. } => "a normal distribution with correlations".into(),
                Form::Student { freedom, .. } => format!("Student's t with {freedom} degrees of freedom"),
                Form::Mixture { components, .. } => {
                    format!("a mixture of {} normals", components.parts().len())
                }
            },
        })
    }
}

/// Refuses a kernel or a reference that does not apply.
fn check(model: &dyn Model, Choices { kernel, reference }: Choices) -> Result<()> {
    let real = model.space().domain == Domain::Real;
    let refuse_kernel = |expected: &str| Err(Error::setting("--kernel", kernel.name(), expected));
    match kernel {
        KernelChoice::Hmc | KernelChoice::Mala if model.gradient().is_none() => {
            return refuse_kernel("the model has no gradient; random-walk and elliptical-slice need none");
        }
        KernelChoice::EllipticalSlice if !real => {
            return refuse_kernel("elliptical slices need a normal reference, and the model lives on a box");
        }
        _ => {}
    }
    let refuse = |expected: &str| Err(Error::setting("--reference", reference.name(), expected));
    match reference {
        ReferenceChoice::Uniform if real => refuse("the model's space has no bounds; uniform is for boxes"),
        ReferenceChoice::Auto | ReferenceChoice::Uniform => Ok(()),
        _ if !real => refuse("the model lives on a box, where the reference is uniform"),
        ReferenceChoice::Mixture | ReferenceChoice::Student if kernel == KernelChoice::EllipticalSlice => {
            refuse("elliptical slices need a normal reference: diagonal or full")
        }
        _ => Ok(()),
    }
}
