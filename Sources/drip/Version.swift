/// The version of drip, in every output.
let dripVersion = "0.1.0"
