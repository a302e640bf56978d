//! Parses arguments and starts one command.
fn main() {
    for crd in coxswain::api::all_crds() {
        println!("---\n{}", serde_yaml::to_string(&crd).unwrap_or_default());
    }
}
