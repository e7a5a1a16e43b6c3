"""Which reviewed types may run in the gateway, and which run in a process of their own, each with the reason.

In the gateway: a row's cost is bounded by the arrays that the file holds, native code reads no index out of the file
that is not checked (`stored_arrays`, `tree_nodes`), and text is only looked up. Reviewed against scikit-learn 1.9.
Everything that is not in the first table runs apart; the second says why of each reviewed type, and a test holds that
no reviewed type is in neither.
"""

from __future__ import annotations

from collections.abc import Mapping

_ARITHMETIC = "arithmetic of the row with stored arrays"
_LOOK_UP = "looks cells up in stored categories, whose order and codes are checked"
_TREES = "goes down stored trees, whose nodes are checked"
_MEMBERS = "asks the estimators in it, a stored number of them"
PART = "a part of an estimator, without a method that rows reach"

# Reason -> module below `sklearn` -> names.
_GATEWAY: Mapping[str, Mapping[str, str]] = {
    _ARITHMETIC: {
        "_loss.link": "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit",
        "_loss.loss": (
            "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss "
            "HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss"
        ),
        "calibration": "_SigmoidCalibration",
        "cluster._kmeans": "KMeans MiniBatchKMeans",
        "cross_decomposition._pls": "CCA PLSCanonical PLSRegression PLSSVD",
        "decomposition._factor_analysis": "FactorAnalysis",
        "decomposition._fastica": "FastICA",
        "decomposition._incremental_pca": "IncrementalPCA",
        "decomposition._pca": "PCA",
        "decomposition._truncated_svd": "TruncatedSVD",
        "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
        "dummy": "DummyClassifier DummyRegressor",
        "feature_selection._from_model": "SelectFromModel",
        "feature_selection._rfe": "RFE RFECV",
        "feature_selection._sequential": "SequentialFeatureSelector",
        "feature_selection._univariate_selection": (
            "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest SelectPercentile chi2 f_classif "
            "f_regression"
        ),
        "feature_selection._variance_threshold": "VarianceThreshold",
        "impute._base": "MissingIndicator SimpleImputer",
        "isotonic": "IsotonicRegression",
        "kernel_approximation": "RBFSampler SkewedChi2Sampler",
        "linear_model._base": "LinearRegression",
        "linear_model._bayes": "ARDRegression BayesianRidge",
        "linear_model._coordinate_descent": (
            "ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso "
            "MultiTaskLassoCV"
        ),
        "linear_model._glm.glm": "GammaRegressor PoissonRegressor TweedieRegressor",
        "linear_model._huber": "HuberRegressor",
        "linear_model._least_angle": "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC",
        "linear_model._logistic": "LogisticRegression LogisticRegressionCV",
        "linear_model._omp": "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV",
        "linear_model._passive_aggressive": "PassiveAggressiveClassifier PassiveAggressiveRegressor",
        "linear_model._perceptron": "Perceptron",
        "linear_model._quantile": "QuantileRegressor",
        "linear_model._ridge": "Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
        "linear_model._stochastic_gradient": "SGDClassifier SGDOneClassSVM SGDRegressor",
        "linear_model._theil_sen": "TheilSenRegressor",
        "mixture._bayesian_mixture": "BayesianGaussianMixture",
        "mixture._gaussian_mixture": "GaussianMixture",
        "naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
        "neighbors._nca": "NeighborhoodComponentsAnalysis",
        "neural_network._multilayer_perceptron": "MLPClassifier MLPRegressor",
        "preprocessing._data": (
            "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer QuantileTransformer "
            "RobustScaler StandardScaler"
        ),
        "preprocessing._function_transformer": "FunctionTransformer",
        "preprocessing._polynomial": "PolynomialFeatures",
        "random_projection": "GaussianRandomProjection SparseRandomProjection",
        "svm._classes": "LinearSVC LinearSVR",
    },
    _LOOK_UP: {
        "preprocessing._discretization": "KBinsDiscretizer",
        "preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
        "preprocessing._label": "LabelBinarizer LabelEncoder",
        "preprocessing._target_encoder": "TargetEncoder",
    },
    _TREES: {
        "ensemble._forest": (
            "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor RandomTreesEmbedding"
        ),
        "ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
        "ensemble._hist_gradient_boosting.binning": "_BinMapper",
        "ensemble._hist_gradient_boosting.gradient_boosting": (
            "HistGradientBoostingClassifier HistGradientBoostingRegressor"
        ),
        "ensemble._hist_gradient_boosting.predictor": "TreePredictor",
        "ensemble._iforest": "IsolationForest",
        "tree._classes": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
        "tree._tree": "Tree",
    },
    _MEMBERS: {
        "calibration": "CalibratedClassifierCV _CalibratedClassifier",
        "compose._column_transformer": "ColumnTransformer",
        "compose._target": "TransformedTargetRegressor",
        "ensemble._bagging": "BaggingClassifier BaggingRegressor",
        "ensemble._stacking": "StackingClassifier StackingRegressor",
        "ensemble._voting": "VotingClassifier VotingRegressor",
        "ensemble._weight_boosting": "AdaBoostClassifier AdaBoostRegressor",
        "frozen._frozen": "FrozenEstimator",
        "linear_model._ransac": "RANSACRegressor",
        "model_selection._classification_threshold": "FixedThresholdClassifier TunedThresholdClassifierCV",
        "model_selection._search": "GridSearchCV RandomizedSearchCV",
        "multiclass": "OneVsOneClassifier OneVsRestClassifier",
        "multioutput": "ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain",
        "pipeline": "FeatureUnion Pipeline",
        "semi_supervised._self_training": "SelfTrainingClassifier",
    },
    PART: {
        "_loss._loss": (
            "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss "
            "CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss"
        ),
        "linear_model._sgd_fast": "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge",
        "metrics._scorer": "_PassthroughScorer",
        "model_selection._split": "KFold StratifiedKFold",
        "neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
        "utils._bunch": "Bunch",
    },
}

_TEXT = "works through texts of any length, by an expression that the file states"
_NEIGHBOURS = "searches stored neighbours in native code, up to all of them for a row"
_KERNEL = "computes a kernel with stored rows in native code"
_ITERATES = "iterates until it converges, as often as the file states"
_STATED_SIZE = "makes arrays of a size that the file states"
_FITS_ONLY = "is fitted and asked for its own rows; rarely served"

_APART: Mapping[str, Mapping[str, str]] = {
    _TEXT: {
        "feature_extraction._dict_vectorizer": "DictVectorizer",
        "feature_extraction._hash": "FeatureHasher",
        "feature_extraction.text": "CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer",
        "preprocessing._label": "MultiLabelBinarizer",
    },
    _NEIGHBOURS: {
        "cluster._affinity_propagation": "AffinityPropagation",
        "cluster._bisect_k_means": "BisectingKMeans _BisectingTree",
        "cluster._mean_shift": "MeanShift",
        "impute._knn": "KNNImputer",
        "manifold._isomap": "Isomap",
        "metrics._dist_metrics": (
            "ChebyshevDistance64 EuclideanDistance EuclideanDistance64 ManhattanDistance64 MinkowskiDistance64"
        ),
        "multiclass": "OutputCodeClassifier",
        "neighbors._ball_tree": "BallTree",
        "neighbors._classification": "KNeighborsClassifier RadiusNeighborsClassifier",
        "neighbors._graph": "KNeighborsTransformer RadiusNeighborsTransformer",
        "neighbors._kd_tree": "KDTree",
        "neighbors._kde": "KernelDensity",
        "neighbors._lof": "LocalOutlierFactor",
        "neighbors._nearest_centroid": "NearestCentroid",
        "neighbors._regression": "KNeighborsRegressor RadiusNeighborsRegressor",
        "neighbors._unsupervised": "NearestNeighbors",
        "semi_supervised._label_propagation": "LabelPropagation LabelSpreading",
    },
    _KERNEL: {
        "covariance._elliptic_envelope": "EllipticEnvelope",
        "covariance._empirical_covariance": "EmpiricalCovariance",
        "covariance._graph_lasso": "GraphicalLasso GraphicalLassoCV",
        "covariance._robust_covariance": "MinCovDet",
        "covariance._shrunk_covariance": "LedoitWolf OAS ShrunkCovariance",
        "decomposition._kernel_pca": "KernelPCA",
        "gaussian_process._gpc": "GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace",
        "gaussian_process._gpr": "GaussianProcessRegressor",
        "gaussian_process.kernels": ("ConstantKernel DotProduct Matern Product RBF RationalQuadratic Sum WhiteKernel"),
        "kernel_approximation": "Nystroem",
        "kernel_ridge": "KernelRidge",
        "svm._classes": "NuSVC NuSVR OneClassSVM SVC SVR",
    },
    _ITERATES: {
        "decomposition._dict_learning": "DictionaryLearning MiniBatchDictionaryLearning SparseCoder",
        "decomposition._lda": "LatentDirichletAllocation",
        "decomposition._nmf": "MiniBatchNMF NMF",
        "decomposition._sparse_pca": "MiniBatchSparsePCA SparsePCA",
        "manifold._locally_linear": "LocallyLinearEmbedding",
        "neural_network._rbm": "BernoulliRBM",
    },
    _STATED_SIZE: {
        "cluster._agglomerative": "FeatureAgglomeration",
        "feature_extraction.image": "PatchExtractor",
        "kernel_approximation": "AdditiveChi2Sampler PolynomialCountSketch",
        "preprocessing._polynomial": "SplineTransformer",
    },
    _FITS_ONLY: {
        "cluster._agglomerative": "AgglomerativeClustering",
        "cluster._bicluster": "SpectralBiclustering SpectralCoclustering",
        "cluster._birch": "Birch",
        "cluster._dbscan": "DBSCAN",
        "cluster._hdbscan.hdbscan": "HDBSCAN",
        "cluster._optics": "OPTICS",
        "cluster._spectral": "SpectralClustering",
        "manifold._classical_mds": "ClassicalMDS",
        "manifold._mds": "MDS",
        "manifold._spectral_embedding": "SpectralEmbedding",
        "manifold._t_sne": "TSNE",
    },
}


def _by_type(table: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {
        f"sklearn.{module}.{name}": reason
        for reason, modules in table.items()
        for module, names in modules.items()
        for name in names.split()
    }


# Full name of the type -> why.
GATEWAY: Mapping[str, str] = {
    **_by_type(_GATEWAY),
    "numpy.ravel": "hands the cells of the rows on, one after the other",
    **dict.fromkeys(("numpy.mean", "numpy.median", "numpy.dtype", "scipy.sparse._csr.csr_matrix"), PART),
}
APART: Mapping[str, str] = {
    **_by_type(_APART),
    "scipy.interpolate._bsplines.BSpline": _STATED_SIZE,
}

# Functions of one array that a FunctionTransformer may apply in the gateway: elementwise, in place of nothing.
ELEMENTWISE = frozenset(
    f"numpy.{name}"
    for name in [
        "absolute",
        "arccos",
        "arcsin",
        "arctan",
        "cbrt",
        "ceil",
        "cos",
        "cosh",
        "deg2rad",
        "degrees",
        "exp",
        "exp2",
        "expm1",
        "fabs",
        "floor",
        "isfinite",
        "isnan",
        "log",
        "log10",
        "log1p",
        "log2",
        "negative",
        "rad2deg",
        "radians",
        "reciprocal",
        "rint",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "tan",
        "tanh",
        "trunc",
    ]
)
