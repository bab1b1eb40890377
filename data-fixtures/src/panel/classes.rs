//! The cell classes of the simulated cortex: names, marker genes and where they live.

/// One cell class: its label, the genes known to mark it, and its share of the cells of every domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassTemplate {
    /// The label, free of `,`, `:` and `<` so that it survives the text format.
    pub(crate) name: &'static str,
    /// Known marker genes, strongest first.
    pub(crate) markers: &'static [&'static str],
    /// Relative abundance in each of [`DOMAINS`].
    pub(crate) abundance: [f64; DOMAINS.len()],
}

/// The spatial domains, from the surface of the brain inwards.
pub const DOMAINS: [&str; 5] = ["L1", "L2/3", "L4/5", "L6", "WM"];

/// The class that answers to the proximity effect: common everywhere.
pub const PROXIMITY_FOCAL: &str = "Astro";
/// The class whose closeness causes the proximity effect: rare and evenly spread.
pub const PROXIMITY_PARTNER: &str = "Microglia";
/// The class of which a part of the cells carries the knock-out.
pub const KNOCKOUT_SOURCE: &str = "Endo";
/// The class that answers to a knocked-out neighbor.
pub const KNOCKOUT_TARGET: &str = "Oligo";
/// The gene that is knocked out.
pub const KNOCKED_OUT_GENE: &str = "FLT1";

/// All classes, those of the smallest simulation first.
pub(crate) const CLASSES: [ClassTemplate; 15] = [
    ClassTemplate {
        name: "Astro",
        markers: &[
            "GFAP", "AQP4", "SLC1A3", "SLC1A2", "GJA1", "ALDH1L1", "ALDOC", "S100B", "SOX9", "FGFR3", "GLUL", "CLU", "ATP1B2", "NTSR2",
            "ACSBG1", "MLC1",
        ],
        abundance: [0.38, 0.13, 0.12, 0.12, 0.15],
    },
    ClassTemplate {
        name: "Oligo",
        markers: &[
            "MBP", "PLP1", "MOG", "MAG", "MOBP", "CNP", "OPALIN", "ERMN", "CLDN11", "UGT8A", "ASPA", "MYRF", "ENPP2", "TSPAN2", "HAPLN2",
            "GAL3ST1",
        ],
        abundance: [0.03, 0.03, 0.05, 0.08, 0.44],
    },
    ClassTemplate {
        name: "Microglia",
        markers: &[
            "CX3CR1", "P2RY12", "CSF1R", "TMEM119", "C1QA", "C1QB", "C1QC", "AIF1", "HEXB", "TREM2", "CTSS", "LY86", "FCRLS", "SALL1",
            "GPR34", "SIGLECH",
        ],
        abundance: [0.065, 0.065, 0.065, 0.065, 0.065],
    },
    ClassTemplate {
        name: "Endo",
        markers: &[
            "FLT1", "CLDN5", "PECAM1", "CDH5", "TEK", "KDR", "SLCO1A4", "ITM2A", "LY6A", "ESAM", "EMCN", "SLC2A1", "ABCB1A", "PLTP", "BSG",
            "TIE1",
        ],
        abundance: [0.08, 0.07, 0.07, 0.07, 0.07],
    },
    ClassTemplate {
        name: "L2/3 IT",
        markers: &[
            "SLC17A7", "CUX2", "CUX1", "OTOF", "RASGRF2", "STARD8", "CALB1", "CCBE1", "MDGA1", "ADAMTS2", "WFS1", "INHBA", "NPTX2",
            "LRRTM4",
        ],
        abundance: [0.04, 0.42, 0.06, 0.02, 0.01],
    },
    ClassTemplate {
        name: "L4/5 IT",
        markers: &[
            "RORB", "RSPO1", "SCNN1A", "WHRN", "DEPTOR", "IL1RAPL2", "THSD7A", "TOX", "PLXND1", "HSD11B1", "BRINP3", "FEZF2", "BCL11B",
            "SLC17A6",
        ],
        abundance: [0.02, 0.08, 0.42, 0.06, 0.01],
    },
    ClassTemplate {
        name: "L6 CT",
        markers: &[
            "FOXP2", "TLE4", "SYT6", "RPRM", "HS3ST4", "SULF1", "CRYM", "NXPH3", "GARNL3", "COL5A1", "CHRNA4", "IGSF21", "TSHZ2", "NTNG2",
        ],
        abundance: [0.01, 0.02, 0.05, 0.40, 0.02],
    },
    ClassTemplate {
        name: "Pvalb",
        markers: &[
            "PVALB", "GAD1", "KCNC1", "TAC1", "SLC32A1", "ERBB4", "BTBD11", "SYT2", "COX6A2", "KCNS3", "NEK7", "PTHLH", "NXPH1", "TPD52L1",
        ],
        abundance: [0.03, 0.05, 0.07, 0.05, 0.01],
    },
    ClassTemplate {
        name: "Sst",
        markers: &["SST", "GAD2", "NPY", "CHODL", "CORT", "ELFN1", "GRIN3A", "SATB1", "CRHBP", "HPSE", "RELN", "NOS1", "MAFB", "RBP4"],
        abundance: [0.03, 0.04, 0.05, 0.05, 0.02],
    },
    ClassTemplate {
        name: "OPC",
        markers: &[
            "PDGFRA", "CSPG4", "OLIG1", "OLIG2", "VCAN", "PTPRZ1", "GPR17", "C1QL1", "NEU4", "MMP15", "LHFPL3", "SAPCD2", "TNR", "MATN4",
        ],
        abundance: [0.05, 0.03, 0.03, 0.04, 0.08],
    },
    ClassTemplate {
        name: "VLMC",
        markers: &[
            "DCN", "LUM", "COL1A1", "COL1A2", "COL3A1", "PDGFRB", "SLC6A13", "IGF2", "OGN", "OSR1", "FN1", "SPP1", "ALDH1A2", "SLC22A6",
        ],
        abundance: [0.16, 0.01, 0.005, 0.005, 0.01],
    },
    ClassTemplate {
        name: "Pericyte",
        markers: &[
            "RGS5", "VTN", "KCNJ8", "ABCC9", "NOTCH3", "HIGD1B", "ATP13A5", "ANPEP", "NDUFA4L2", "ART3", "MYL9", "ACTA2", "TAGLN",
            "TBX3OS1",
        ],
        abundance: [0.04, 0.03, 0.03, 0.03, 0.03],
    },
    ClassTemplate {
        name: "Vip",
        markers: &["VIP", "CALB2", "CRH", "HTR3A", "PROX1", "CCK", "SNCG", "CNR1", "TAC2", "CXCL14", "IGFBP6", "NPY2R"],
        abundance: [0.03, 0.04, 0.02, 0.01, 0.005],
    },
    ClassTemplate {
        name: "Lamp5",
        markers: &["LAMP5", "NDNF", "KIT", "LHX6", "ID2", "SV2C", "EYA4", "JAM2", "PDE11A", "FBLN2", "EGLN3", "KRT73"],
        abundance: [0.08, 0.03, 0.01, 0.02, 0.005],
    },
    ClassTemplate {
        name: "Macrophage",
        markers: &["MRC1", "CD163", "LYVE1", "F13A1", "PF4", "MS4A7", "CD209F", "CCR2", "LYZ2", "CCL24", "CLEC12A", "CD74"],
        abundance: [0.03, 0.005, 0.005, 0.005, 0.02],
    },
];
