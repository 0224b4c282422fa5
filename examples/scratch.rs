use std::sync::Arc;
use lnz::estimators::{by_name, Settings, Silent};
use lnz::models::*;
fn run(name: &str, model: Arc<dyn Model>, exact: Option<f64>) {
    let mut z = vec![]; let t = std::time::Instant::now();
    for seed in 0..6 {
        let e = by_name("ais").unwrap().estimate(&model, &Settings{seed, max_time: 60.0, ..Settings::default()}, &Silent).unwrap();
        let exact = exact.or(model.closed_form()).unwrap_or(f64::NAN);
        z.push((e.log_z-exact)/e.std_err.unwrap());
        if seed < 2 {println!("{name} {:.3} ± {:.3} exact {exact:.3} ESS {:.0} K {} barrier {:.1} k {:?} {:.2}s pilots {} ev {:?}\n   {:?}", e.log_z, e.std_err.unwrap(), e.diagnostics.effective_sample_size.unwrap(), e.diagnostics.rungs.unwrap(), e.diagnostics.barrier.unwrap(), e.diagnostics.pareto_shape, e.cost.seconds, e.trace.pilots.len(), e.diagnostics.evidence.iter().map(|e|(e.log_z,e.std_err)).collect::<Vec<_>>(), e.verdict);
        if std::env::args().len()>2 {for p in &e.cost.phases {println!("      {} {:.2}s", p.name, p.seconds)} for p in &e.trace.pilots {println!("    {p:?}")}}
        }
    }
    println!("   z {:?} {:.1}s", z.iter().map(|z|(z*100.0).round()/100.0).collect::<Vec<_>>(), t.elapsed().as_secs_f64());
}
fn main() {
    let only = std::env::args().nth(1);
    let go = |n: &str| only.as_ref().is_none_or(|o| n.starts_with(o.as_str()));
    if go("ising") { run("ising 8x8", Arc::new(Ising::new(Lattice::Torus{rows:8,columns:8},0.44,0.0).unwrap()), Some(60.076307527));
    run("ising 16x16", Arc::new(Ising::new(Lattice::Torus{rows:16,columns:16},0.44,0.0).unwrap()), Some(238.387247204));}
    if go("funnel") { run("funnel", Arc::new(Funnel::new(10).unwrap()), None);}
    if go("many") { run("manywell", Arc::new(ManyWell::new(32).unwrap()), None);}
    if go("rbm") {
        let w = ndarray::Array2::from_shape_fn((784,500), |(i,j)| { let x = (i*500+j) as f64; 0.06*((x*12.9898).sin()*43758.5453).fract() });
        run("rbm", Arc::new(Rbm::new(w, ndarray::Array1::from_elem(784,-1.0), ndarray::Array1::zeros(500), Units::Bits).unwrap()), None);
    }
}
