"""The works that a study may rest on, as BibTeX knows them: the sources that docstrings name."""

from typing import NamedTuple


class Reference(NamedTuple):
    """A work; `author`, `title` and venue as BibTeX wants them.

    Attributes:
        where: the journal or proceedings; "" for what has neither.
        details: other fields.
    """

    author: str
    title: str
    year: int
    where: str = ""
    details: dict[str, str] = {}


def _arxiv(number: str) -> dict[str, str]:
    return {"eprint": number, "archiveprefix": "arXiv"}


def _pages(volume: str, pages: str) -> dict[str, str]:
    return {"volume": volume, "pages": pages}


NEURIPS, ICML, ICLR = (
    "Advances in Neural Information Processing Systems", "International Conference on Machine Learning",
    "International Conference on Learning Representations",
)  # fmt: skip

REFERENCES = {
    "pascanu2013": Reference("Pascanu, Razvan and Mikolov, Tomas and Bengio, Yoshua", "On the difficulty of training recurrent neural networks", 2013, ICML, _arxiv("1211.5063")),
    "brock2021": Reference("Brock, Andrew and De, Soham and Smith, Samuel L. and Simonyan, Karen", "High-Performance Large-Scale Image Recognition Without Normalization", 2021, ICML, _arxiv("2102.06171")),
    "seetharaman2020": Reference("Seetharaman, Prem and Wichern, Gordon and Pardo, Bryan and Le Roux, Jonathan", "AutoClip: Adaptive Gradient Clipping for Source Separation Networks", 2020, "", _arxiv("2007.14469")),
    "kumar2025": Reference("Kumar, Abhay and others", "ZClip: Adaptive Spike Mitigation for LLM Pre-Training", 2025, "", _arxiv("2504.02507")),
    "hazan2015": Reference("Hazan, Elad and Levy, Kfir Y. and Shalev-Shwartz, Shai", "Beyond Convexity: Stochastic Quasi-Convex Optimization", 2015, NEURIPS, _arxiv("1507.02030")),
    "srivastava2014": Reference("Srivastava, Nitish and Hinton, Geoffrey and Krizhevsky, Alex and Sutskever, Ilya and Salakhutdinov, Ruslan", "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014, "Journal of Machine Learning Research", _pages("15", "1929--1958")),
    "zaremba2014": Reference("Zaremba, Wojciech and Sutskever, Ilya and Vinyals, Oriol", "Recurrent Neural Network Regularization", 2014, "", _arxiv("1409.2329")),
    "gal2016": Reference("Gal, Yarin and Ghahramani, Zoubin", "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", 2016, NEURIPS, _arxiv("1512.05287")),
    "merity2018": Reference("Merity, Stephen and Keskar, Nitish Shirish and Socher, Richard", "Regularizing and Optimizing LSTM Language Models", 2018, ICLR, _arxiv("1708.02182")),
    "krueger2017": Reference("Krueger, David and others", "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", 2017, ICLR, _arxiv("1606.01305")),
    "liu2023": Reference("Liu, Zhuang and Xu, Zhiqiu and Jin, Joseph and Shen, Zhiqiang and Darrell, Trevor", "Dropout Reduces Underfitting", 2023, ICML, _arxiv("2303.01500")),
    "loshchilov2017": Reference("Loshchilov, Ilya and Hutter, Frank", "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, ICLR, _arxiv("1608.03983")),
    "loshchilov2019": Reference("Loshchilov, Ilya and Hutter, Frank", "Decoupled Weight Decay Regularization", 2019, ICLR, _arxiv("1711.05101")),
    "kingma2015": Reference("Kingma, Diederik P. and Ba, Jimmy", "Adam: A Method for Stochastic Optimization", 2015, ICLR, _arxiv("1412.6980")),
    "chen2023": Reference("Chen, Xiangning and others", "Symbolic Discovery of Optimization Algorithms", 2023, NEURIPS, _arxiv("2302.06675")),
    "hinton2012": Reference("Hinton, Geoffrey", "Neural Networks for Machine Learning, Lecture 6e", 2012),
    "graves2013": Reference("Graves, Alex", "Generating Sequences With Recurrent Neural Networks", 2013, "", _arxiv("1308.0850")),
    "sutskever2013": Reference("Sutskever, Ilya and Martens, James and Dahl, George and Hinton, Geoffrey", "On the importance of initialization and momentum in deep learning", 2013, ICML),
    "elman1990": Reference("Elman, Jeffrey L.", "Finding Structure in Time", 1990, "Cognitive Science", _pages("14", "179--211")),
    "hochreiter1997": Reference("Hochreiter, Sepp and Schmidhuber, J{\\\"u}rgen", "Long Short-Term Memory", 1997, "Neural Computation", _pages("9", "1735--1780")),
    "cho2014": Reference("Cho, Kyunghyun and others", "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", 2014, "Conference on Empirical Methods in Natural Language Processing", _arxiv("1406.1078")),
    "he2015": Reference("He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian", "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification", 2015, "International Conference on Computer Vision", _arxiv("1502.01852")),
    "saxe2014": Reference("Saxe, Andrew M. and McClelland, James L. and Ganguli, Surya", "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014, ICLR, _arxiv("1312.6120")),
    "szegedy2016": Reference("Szegedy, Christian and Vanhoucke, Vincent and Ioffe, Sergey and Shlens, Jonathon and Wojna, Zbigniew", "Rethinking the Inception Architecture for Computer Vision", 2016, "Conference on Computer Vision and Pattern Recognition", _arxiv("1512.00567")),
    "prechelt1998": Reference("Prechelt, Lutz", "Early Stopping -- But When?", 1998, "Neural Networks: Tricks of the Trade", {"pages": "55--69", "publisher": "Springer"}),
    "arjovsky2016": Reference("Arjovsky, Martin and Shah, Amar and Bengio, Yoshua", "Unitary Evolution Recurrent Neural Networks", 2016, ICML, _arxiv("1511.06464")),
    "friedman1991": Reference("Friedman, Jerome H.", "Multivariate Adaptive Regression Splines", 1991, "The Annals of Statistics", _pages("19", "1--67")),
    "alpaydin1998": Reference("Alpaydin, Ethem and Kaynak, Cenk", "Optical Recognition of Handwritten Digits", 1998, "", {"howpublished": "UCI Machine Learning Repository"}),
    "lecun1998": Reference("LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick", "Gradient-Based Learning Applied to Document Recognition", 1998, "Proceedings of the IEEE", _pages("86", "2278--2324")),
    "xiao2017": Reference("Xiao, Han and Rasul, Kashif and Vollgraf, Roland", "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017, "", _arxiv("1708.07747")),
    "le2015": Reference("Le, Quoc V. and Jaitly, Navdeep and Hinton, Geoffrey E.", "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", 2015, "", _arxiv("1504.00941")),
    "vanrooyen2015": Reference("van Rooyen, Brendan and Menon, Aditya Krishna and Williamson, Robert C.", "Learning with Symmetric Label Noise: The Importance of Being Unhinged", 2015, NEURIPS, _arxiv("1505.07634")),
    "efron1979": Reference("Efron, Bradley", "Bootstrap Methods: Another Look at the Jackknife", 1979, "The Annals of Statistics", _pages("7", "1--26")),
    "efron2004": Reference("Efron, Bradley and Hastie, Trevor and Johnstone, Iain and Tibshirani, Robert", "Least Angle Regression", 2004, "The Annals of Statistics", _pages("32", "407--499")),
    "guo2017": Reference("Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.", "On Calibration of Modern Neural Networks", 2017, ICML, _arxiv("1706.04599")),
    "arpit2017": Reference("Arpit, Devansh and others", "A Closer Look at Memorization in Deep Networks", 2017, ICML, _arxiv("1706.05394")),
    "cohen2021": Reference("Cohen, Jeremy M. and Kaur, Simran and Li, Yuanzhi and Kolter, J. Zico and Talwalkar, Ameet", "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability", 2021, ICLR, _arxiv("2103.00065")),
    "mccandlish2018": Reference("McCandlish, Sam and Kaplan, Jared and Amodei, Dario and {OpenAI Dota Team}", "An Empirical Model of Large-Batch Training", 2018, "", _arxiv("1812.06162")),
    "thompson1936": Reference("Thompson, William R.", "On Confidence Ranges for the Median and Other Expectation Distributions for Populations of Unknown Distribution Form", 1936, "The Annals of Mathematical Statistics", _pages("7", "122--128")),
    "tango1998": Reference("Tango, Toshiro", "Equivalence test and confidence interval for the difference in proportions for the paired-sample design", 1998, "Statistics in Medicine", _pages("17", "891--908")),
    "student1908": Reference("Student", "The Probable Error of a Mean", 1908, "Biometrika", _pages("6", "1--25")),
    "hodges1963": Reference("Hodges, Joseph L. and Lehmann, Erich L.", "Estimates of Location Based on Rank Tests", 1963, "The Annals of Mathematical Statistics", _pages("34", "598--611")),
    "clopper1934": Reference("Clopper, C. J. and Pearson, E. S.", "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", 1934, "Biometrika", _pages("26", "404--413")),
    "holm1979": Reference("Holm, Sture", "A Simple Sequentially Rejective Multiple Test Procedure", 1979, "Scandinavian Journal of Statistics", _pages("6", "65--70")),
    "kim1987": Reference("Kim, Kyungmann and DeMets, David L.", "Design and Analysis of Group Sequential Tests Based on the Type I Error Spending Rate Function", 1987, "Biometrika", _pages("74", "149--154")),
    "maurer2013": Reference("Maurer, Willi and Bretz, Frank", "Multiple Testing in Group Sequential Trials Using Graphical Approaches", 2013, "Statistics in Biopharmaceutical Research", _pages("5", "311--320")),
    "benjamini1995": Reference("Benjamini, Yoav and Hochberg, Yosef", "Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple Testing", 1995, "Journal of the Royal Statistical Society, Series B", _pages("57", "289--300")),
    "paszke2019": Reference("Paszke, Adam and others", "PyTorch: An Imperative Style, High-Performance Deep Learning Library", 2019, NEURIPS, _arxiv("1912.01703")),
    "akiba2019": Reference("Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and Koyama, Masanori", "Optuna: A Next-generation Hyperparameter Optimization Framework", 2019, "International Conference on Knowledge Discovery and Data Mining", _arxiv("1907.10902")),
    "zaharia2018": Reference("Zaharia, Matei and others", "Accelerating the Machine Learning Lifecycle with MLflow", 2018, "IEEE Data Engineering Bulletin", _pages("41", "39--45")),
}  # fmt: skip
"""By key. Lists of authors too long to be sure of end in "and others"."""

JOURNALS = (
    "Journal of", "Annals of", "Biometrika", "Statistics in", "Scandinavian", "Cognitive Science", "Neural Computation",
    "Proceedings of the IEEE", "Bulletin",
)  # fmt: skip
"""What tells a journal's name from that of proceedings."""


def entry(key: str) -> str:
    """A work as an entry of a .bib file; its title keeps its capitals."""
    work = REFERENCES[key]
    journal = any(name in work.where for name in JOURNALS)
    kind, field = ("article", "journal") if journal else ("inproceedings", "booktitle") if work.where else ("misc", "")
    venue = {field: work.where} if work.where else {}
    fields = {"author": work.author, "title": f"{{{work.title}}}", **venue, "year": str(work.year), **work.details}
    return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items()) + "}\n"
