/* Models made by hand, good ones and attacks on the reader, in a notation of their own:
 *
 *   TAG( .. )   a section: tag, length, body and CRC     i5 q5   u32, u64
 *   =text       a byte of length, then the text          d.5 r.5 f64, f32 (nan, inf and 1e999 too)
 *   x00ff       bytes in hexadecimal                     z8      so many zero bytes
 *   ;           the header's size and CRC, once all sections are there
 *   @20         go back to byte 20: what follows overwrites; ! makes all CRCs right again
 *   <40         the file ends after 40 bytes
 *
 * The header comes by itself. See @@IO in nn.c for the format. */
#ifndef NN_ATTACKS_H
#define NN_ATTACKS_H

typedef struct Attack {
  const char *name, *text;
  const char *says; /* in the message; NULL: a good model */
} Attack;

#define CONF "CONF(q1) "
#define VECTOR "=input =in i0 d0 i0 i1 i4 "
#define IMAGE "=input =in i0 d0 i0 i3 i3 i8 i8 "
#define LINEAR "=linear =out i0 d0 i1 i0 i3 i0 "
#define GRAPH "GRPH(i2 " VECTOR LINEAR ") "
#define ARRAYS "PARM(i2 =out.weight i2 i3 i4 =out.bias i1 i3 z60) "
#define GOOD CONF GRAPH ARRAYS
/* A layer after an image, with the fields given, and no arrays. */
#define ON_IMAGE(kind, fields) \
  CONF "GRPH(i2 " IMAGE "=" kind " =l i0 d0 i1 i0 " fields ") PARM(i0) ;"
#define ON_STEPS(kind, fields) \
  CONF "GRPH(i2 =input =in i0 d0 i0 i2 i5 i4 =" kind " =l i0 d0 i1 i0 " fields ") PARM(i0) ;"
/* A checkpoint of GOOD: kind, nine numbers, nesterov, schedule and its five, steps, slots. */
#define OPTIMIZER(kind, rate, momentum, schedule, rest, slots) \
  "OPTM(i" kind " d" rate " d" momentum " d0 d0 d0 d0 d0 d0 d0 i0 i" schedule " " rest slots ") "
#define PLAIN "q0 q0 q0 d0 d0 q3 q3 "
#define STATE "STAT(q0) "
#define PROGRESS "PROG(q3 q0 q0 q0 q0 d0 d0 d0 d0) ;"
#define SGD_STATE OPTIMIZER("0", ".1", "0", "0", PLAIN, "i0")

static const Attack attacks_table[] = {
    {"a good model", GOOD ";", NULL},
    {"sections in another order", ARRAYS GRAPH CONF ";", NULL},
    {"a small unknown section", GOOD "misc(=hello) ;", NULL},
    {"notes", GOOD "note(i2 =data i2 xc3a4 =empty i0) ;", NULL},
    {"no notes", GOOD "note(i0) ;", NULL},
    {"weights that are NaN and infinite",
     CONF GRAPH "PARM(i2 =out.weight i2 i3 i4 =out.bias i1 i3 rnan rinf r-inf z48) ;", NULL},
    {"a layer norm with a momentum, from before it was refused",
     ON_IMAGE("layer_norm_with", "d1 d.5 i1 i0"), NULL},
    {"a group norm with a momentum", ON_IMAGE("group_norm", "d1 d.5 i1 i0 i3"), NULL},
    {"a frozen batch norm with a momentum",
     CONF "GRPH(i2 " IMAGE "=batch_norm_with =l i0 d0 i1 i0 d1 d.5 i1 i1) "
     "PARM(i2 =l.running_mean i1 i3 =l.running_var i1 i3 z24) ;", NULL},
    {"a maximum that leaves padding out", ON_IMAGE("max_pool_with", "i2 i1 i1 i2 i1 i1 i0 i1"),
     NULL},
    {"numbers of eight bytes",
     CONF GRAPH "PARM(i2 =out.weight i2 i3 i4 =out.bias i1 i3 d1 dnan d1e300 z96) ; @16 i8 !",
     NULL},

    /* notes */
    {"a note that is cut short", GOOD "note(i1 =data i9 x61) ;", "note, byte "},
    {"more notes than there are", GOOD "note(i4000000 =data i1 x61) ;", "note, byte "},
    {"too many notes", GOOD "note(i4294967295) ;", "the number of notes is 4294967295"},
    {"a note of 2^31", GOOD "note(i1 =data i2147483648 x61) ;", "a note's size is 2147483648"},
    {"a note that is no text", GOOD "note(i1 =data i1 xff) ;", "its text is not UTF-8"},
    {"a note with a zero in it", GOOD "note(i1 =data i3 x610062) ;", "its text is not UTF-8"},
    {"a note twice", GOOD "note(i2 =data i1 x61 =data i1 x62) ;", "note data twice"},
    {"a note without a key", GOOD "note(i1 x00 i1 x61) ;", "no key"},
    {"a note's key with a slash", GOOD "note(i1 =a/b i1 x61) ;", "no key"},
    {"bytes after the notes", GOOD "note(i1 =data i1 x61 x62) ;", "1 bytes too many"},

    /* the header */
    {"nothing", "<0", "header, byte 0: cut short"},
    {"another file", "@0 x50414b31", "header, byte 0: not a model or checkpoint of nn"},
    {"an archive", "@0 x504b0304", "header, byte 0: a zip archive (npz, torch.save's), not a"},
    {"a text-mode transfer", GOOD "; @3 x0a", "header, byte 0: not a model or checkpoint of nn"},
    {"swapped bytes", GOOD "; @8 x01020304 !", "header, byte 8: the byte-order mark is"},
    {"a future version", GOOD "; @12 i2 !", "header, byte 12: version 2 of the format"},
    {"version 0", GOOD "; @12 i0 !", "header, byte 12: the version is 0"},
    {"version 2^32-1", GOOD "; @12 i4294967295 !", "header, byte 12: the version is 4294967295"},
    {"numbers of six bytes", GOOD "; @16 i6 !", "header, byte 16: numbers of 6 bytes"},
    {"numbers of no bytes", GOOD "; @16 i0 !", "header, byte 16: the size of a number is 0"},
    {"a size beyond 2^53", GOOD "; @20 q18446744073709551615", "header, byte 20: the size of the"},
    {"a size one too small", GOOD "; @20 q1", "header, byte 28: damaged"},
    {"a wrong header CRC", GOOD "; @28 i0", "header, byte 28: damaged"},
    {"a header alone", "; ", "CONF, byte 32: missing"},
    {"a header cut short", GOOD "; <31", "header, byte 28: cut short"},
    {"no CRC in a header", GOOD "; <28", "header, byte 28: cut short"},

    /* sections */
    {"a section's length that wraps", GOOD "; @36 q18446744073709551600",
     "CONF, byte 44: a length of 18446744073709551600"},
    {"a length beyond the file", GOOD "; @36 q4096", "CONF, byte 44: a length of 4096"},
    {"a wrong CRC", GOOD "; @44 q2", "CONF, byte 32: damaged"},
    {"a section twice", CONF GOOD ";", "CONF, byte 56: twice in the file"},
    {"an unknown large section", GOOD "XTRA(q1) ;", "this build does not know it"},
    {"no graph", CONF ARRAYS ";", "GRPH, byte 176: missing"},
    {"a tail that is no section", GOOD "x00 ; ", "section, byte 268: cut short"},
    {"half a checkpoint", GOOD STATE ";", "OPTM, byte 292: missing"},
    {"a body with bytes left", "CONF(q1 x00) " GRAPH ARRAYS ";", "CONF, byte 52: 1 bytes too many"},
    {"a body that ends early", "CONF(i1) " GRAPH ARRAYS ";", "CONF, byte 44: cut short"},

    /* the graph */
    {"2^32-1 layers", CONF "GRPH(i4294967295 " VECTOR ") PARM(i0) ;", "number of layers is 429"},
    {"2^31-1 layers", CONF "GRPH(i2147483647 " VECTOR LINEAR ") PARM(i0) ;",
     "GRPH, byte 144: cut short"},
    {"no layer", CONF "GRPH(i0) PARM(i0) ;", "GRPH, byte 68: the number of layers is 0"},
    {"an edge forward", CONF "GRPH(i2 " VECTOR "=linear =out i0 d0 i1 i2 i3 i0) PARM(i0) ;",
     "GRPH, byte 105: linear1: its input 2 is not a layer"},
    {"an edge to itself", CONF "GRPH(i2 " VECTOR "=relu =out i0 d0 i1 i1) PARM(i0) ;",
     "relu1: its input 1 is not a layer"},
    {"an edge to -1", CONF "GRPH(i2 " VECTOR "=relu =out i0 d0 i1 i4294967295) PARM(i0) ;",
     "the number of an input is 4294967295, must be 0..32767"},
    {"three inputs", CONF "GRPH(i2 " VECTOR "=add =out i0 d0 i3 i0 i0 i0) PARM(i0) ;",
     "the number of inputs is 3"},
    {"no inputs for one", CONF "GRPH(i2 " VECTOR "=relu =out i0 d0 i0) PARM(i0) ;",
     "out: 0 inputs, takes 1"},
    {"a kind that is not", CONF "GRPH(i2 " VECTOR "=lineal =out i0 d0 i1 i0 i3 i0) PARM(i0) ;",
     "no kind of layer is a \"lineal\""},
    {"a kind too long", CONF "GRPH(i2 " VECTOR "xff41414141) PARM(i0) ;",
     "a kind of 255 characters"},
    {"a name of nothing", CONF "GRPH(i2 " VECTOR "=relu x00 i0 d0 i1 i0) PARM(i0) ;",
     "relu1: a name has 1..23"},
    {"a name with a line end", CONF "GRPH(i2 " VECTOR "=relu x02410a i0 d0 i1 i0) PARM(i0) ;",
     "a name has a character 0xa"},
    {"a name with a path", CONF "GRPH(i2 " VECTOR "=relu =../b i0 d0 i1 i0) PARM(i0) ;",
     "'../b': only letters"},
    {"a name twice", CONF "GRPH(i2 " VECTOR "=relu =in i0 d0 i1 i0) PARM(i0) ;",
     "GRPH, byte 105: nn_name: layer 0 already has the name in"},
    {"an initialisation that is not", CONF "GRPH(i2 =input =in i8 d0 i0 i1 i4 ) PARM(i0) ;",
     "the initialisation is 8"},
    {"an input of 2^31-1", CONF "GRPH(i2 =input =in i0 d0 i0 i1 i2147483647 " LINEAR ") PARM(i0) ;",
     "must be 1..1048576"},
    {"an input whose size wraps to 0",
     CONF "GRPH(i2 =input =in i0 d0 i0 i3 i1048576 i1048576 i1048576 " LINEAR ") PARM(i0) ;",
     "GRPH, byte 72: input1: an output of 1.15292e+18"},
    {"an input of rank 4", CONF "GRPH(i2 =input =in i0 d0 i0 i4 i1 i1 i1 i1 " LINEAR ") PARM(i0) ;",
     "the rank is 4"},
    {"an input of no size", CONF "GRPH(i2 =input =in i0 d0 i0 i1 i0 " LINEAR ") PARM(i0) ;",
     "the first size is 0"},
    {"an input that asks for gigabytes",
     CONF "GRPH(i2 =input =in i0 d0 i0 i3 i1 i65536 i65536 =relu =l i0 d0 i1 i0) PARM(i0) ;",
     "too "},
    {"weights that the file does not have",
     CONF "GRPH(i2 =input =in i0 d0 i0 i1 i4096 =linear =out i0 d0 i1 i0 i2048 i0) "
     "PARM(i2 =out.weight i2 i2048 i4096 =out.bias i1 i2048 z64) ;",
     "numbers should follow, 64 bytes do"},

    /* one number of a layer */
    {"stride 0", ON_IMAGE("conv", "i4 i3 i3 i0 i1 i0 i0 i1 i1 i1 i0"), "stride_h is 0"},
    {"stride -1", ON_IMAGE("conv", "i4 i3 i3 i1 i4294967295 i0 i0 i1 i1 i1 i0"), "is 4294967295"},
    {"kernel 0", ON_IMAGE("conv", "i4 i0 i3 i1 i1 i0 i0 i1 i1 i1 i0"), "kernel_h is 0"},
    {"a kernel larger than the image", ON_IMAGE("conv", "i4 i9 i3 i1 i1 i0 i0 i1 i1 i1 i0"),
     "a 9x3 kernel (dilation 1x1) does not fit"},
    {"no channels", ON_IMAGE("conv", "i0 i3 i3 i1 i1 i0 i0 i1 i1 i1 i0"), "out is 0"},
    {"dilation 0", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i0 i0 i0 i1 i1 i0"), "dilation_h is 0"},
    {"a dilation that wraps", ON_IMAGE("conv", "i4 i65535 i3 i1 i1 i0 i0 i65535 i1 i1 i0"),
     "a 65535x3 kernel (dilation 65535x1) does not fit"},
    {"padding that wraps", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i2147483647 i0 i1 i1 i1 i0"),
     "pad_h is 2147483647"},
    {"padding that 16 bits do not hold", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i65537 i1 i1 i1 i1 i0"),
     "pad_h is 65537, must be 0..65535"},
    {"groups 0", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i0 i0 i1 i1 i0 i0"), "groups is 0"},
    {"groups that do not divide", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i0 i0 i1 i1 i2 i0"),
     "groups 2 must divide"},
    {"a flag of 2", ON_IMAGE("conv", "i4 i3 i3 i1 i1 i0 i0 i1 i1 i1 i2"), "a flag is 2"},
    {"pooling by 0", ON_IMAGE("max_pool", "i0 i1 i0"), "kernel_h is 0"},
    {"pooling with stride 0", ON_IMAGE("avg_pool", "i2 i0 i0"), "stride is 0"},
    {"pooling by 2^31-1", ON_IMAGE("max_pool", "i2147483647 i1 i0"), "kernel_h is 2147483647"},
    {"pooling of padding alone", ON_IMAGE("max_pool", "i2 i1 i2"), "pad_h is 2, must be 0..1"},
    {"a border of 2^31-1", ON_IMAGE("pad", "i0 i0 i2147483647 i1"), "left is 2147483647"},
    {"borders that make too wide", ON_IMAGE("pad", "i0 i0 i1048576 i1048576"), "left is 1048576"},
    {"a slice before the start", ON_IMAGE("slice", "i1 i4294967295 i1"), "is 4294967295"},
    {"a slice past the end", ON_IMAGE("slice", "i2 i65536 i1"), "begin is 65536"},
    {"a slice that ends past the end", ON_IMAGE("slice", "i1 i1 i2147483647"), "count is 21"},
    {"a slice of nothing", ON_IMAGE("slice", "i0 i0 i0"), "count is 0"},
    {"a slice of a fourth axis", ON_IMAGE("slice", "i3 i0 i1"), "the axis is 3"},
    {"a slice of an axis too many", ON_STEPS("slice", "i2 i0 i1"), "axis is 2, must be 0..1"},
    {"no shape", ON_IMAGE("reshape", "i0"), "the rank is 0"},
    {"a shape of four", ON_IMAGE("reshape", "i4 i1 i1 i1 i1"), "the rank is 4"},
    {"a size of 0", ON_IMAGE("reshape", "i2 i0 i4"), "a size is 0"},
    {"another size", ON_IMAGE("reshape", "i3 i1048576 i1048576 i1048576"), "cannot be 1.15292e+18"},
    {"steps of steps", ON_STEPS("to_sequence", "i1"), "to_sequence1: needs an image"},
    {"an image of no channels", ON_STEPS("to_image", "i0 i0"), "channels is 0"},
    {"an image of odd channels", ON_STEPS("to_image", "i2147483647 i0"), "do not divide"},
    {"columns of 2", ON_STEPS("to_image", "i1 i2"), "a flag is 2"},
    {"a convolution of two columns of steps", ON_STEPS("conv", "i1 i1 i2 i1 i1 i0 i0 i1 i1 i1 i0"),
     "a window over steps is one wide"},
    {"a convolution past the steps", ON_STEPS("conv", "i1 i59999 i1 i1 i1 i0 i0 i1 i1 i1 i0"),
     "a kernel of 59999 (dilation 1)"},
    {"a pool of two columns of steps", ON_STEPS("max_pool_with", "i1 i1 i0 i2 i1 i0 i0 i0"),
     "a window over steps is one wide"},
    {"more output than a stride",
     ON_IMAGE("conv_transpose", "i1 i1 i1 i2 i1 i0 i0 i1 i1 i1 i0 i2 i0"),
     "output_pad_h is 2, must be 0..1"},
    {"padding that leaves nothing",
     ON_IMAGE("conv_transpose", "i1 i1 i1 i1 i1 i9999 i0 i1 i1 i1 i0 i0 i0"), "leaves an image of"},
    {"a stride of 2^16 - 1",
     ON_IMAGE("conv_transpose", "i1048576 i65535 i65535 i65535 i1 i0 i0 i1 i1 i1 i0 i0 i0"),
     "too large"},
    {"groups that divide nothing",
     ON_IMAGE("conv_transpose", "i3 i1 i1 i1 i1 i0 i0 i1 i1 i65535 i0 i0 i0"), "must divide"},
    {"2^31 pixels between two", ON_IMAGE("bilinear", "i1 i2147483647"), "factor_w is"},
    {"an eps of 0", ON_IMAGE("batch_norm_with", "d0 d.1 i0 i0"), "eps is 0"},
    {"an eps that is NaN", ON_IMAGE("layer_norm_with", "dnan d.1 i0 i0"), "eps is nan"},
    {"a momentum above 1", ON_IMAGE("batch_norm_with", "d1 d1.5 i0 i0"), "momentum is 1.5"},
    {"a norm half frozen", ON_IMAGE("batch_norm_with", "d1 d1 i0 i2"), "a flag is 2"},
    {"groups of nothing", ON_IMAGE("group_norm", "d1 d1 i0 i0 i0"), "groups is 0"},
    {"groups that do not divide", ON_IMAGE("group_norm", "d1 d1 i0 i0 i1048576"), "must divide"},
    {"a relu with more", ON_IMAGE("relu_with", "d1"), "no kind of layer is a \"relu_with\""},
    {"slopes of 2", ON_IMAGE("prelu", "i2"), "a flag is 2"},
    {"channels dropped for sure", ON_IMAGE("dropout_channels", "d1"), "rate is 1"},
    {"one concatenated alone", ON_IMAGE("concat", ""), "l: 1 inputs, takes 2"},
    {"one beside itself alone", ON_IMAGE("join", "i1"), "1 inputs, takes 2"},
    {"an image 2^31 times as high", ON_IMAGE("upsample", "i2147483647 i1"), "factor_h is"},
    {"an image of steps", ON_IMAGE("reverse", ""), "reverse1: needs a sequence"},
    {"a pool without a width", ON_IMAGE("max_pool_with", "i2 i1 i0 i0 i1 i0 i0 i0"),
     "kernel_w is 0"},
    {"a pool of one stride", ON_IMAGE("avg_pool_with", "i2 i0 i0 i2 i1 i0 i0 i0"), "stride_h is 0"},
    {"an adaptive maximum", ON_IMAGE("max_pool_with", "i2 i0 i0 i2 i0 i0 i0 i0"), "stride_h is 0"},
    {"adaptive to nothing", ON_IMAGE("avg_pool_with", "i0 i0 i0 i2 i0 i0 i0 i0"), "height is 0"},
    {"ceil of 2", ON_IMAGE("avg_pool_with", "i2 i1 i0 i2 i1 i0 i2 i0"), "a flag is 2"},
    {"a slope that is NaN", ON_IMAGE("leaky_relu", "dnan"), "its number nan is not finite"},
    {"an alpha that is infinite", ON_IMAGE("elu", "dinf"), "its number inf is not finite"},
    {"limits the wrong way round", ON_IMAGE("clamp", "d1 d-1"), "limit 1 is not below the upper"},
    {"a rate of 1", ON_IMAGE("dropout", "d1"), "rate is 1, must be 0 <= rate < 1"},
    {"a rate a hair below 10", ON_IMAGE("dropout", "d9.9999999"), "rate is 10, must be"},
    {"a rate hardly below 0", ON_IMAGE("dropout", "d-2e-300"), "rate is -2e-300, must be"},
    {"a rate that is NaN", ON_IMAGE("dropout", "dnan"), "rate is nan, must be"},
    {"a cell on an image", ON_IMAGE("gru", "i4 i1 d0 i0 i0"), "gru1: needs a sequence [T,F]"},
    {"a linear layer on an image", ON_IMAGE("linear", "i4 i0"), "needs a vector or a sequence"},
    {"a cell of no units", ON_STEPS("gru", "i0 i1 d0 i0 i0"), "hidden is 0"},
    {"17 stacked cells", ON_STEPS("lstm", "i4 i17 d0 i0 i0"), "the number of layers is 17"},
    {"steps beside steps", ON_STEPS("pad", "i0 i0 i1 i0"), "left is 1, must be 0..0"},
    {"features twice", ON_STEPS("upsample", "i1 i2"), "factor_w is 2, must be 1..1"},
    {"two columns of steps", ON_STEPS("avg_pool_with", "i2 i0 i0 i2 i0 i0 i0 i0"), "width is 2"},
    {"the state of no cell", ON_STEPS("final_state", ""), "is no rnn, lstm or gru"},
    {"an lstm with a relu", ON_STEPS("lstm", "i4 i1 d0 i1 i0"),
     "GRPH, byte 152: the relu flag is 1, must be 0..0"},
    {"a gru with a relu", ON_STEPS("gru", "i4 i1 d0 i1 i0"), "the relu flag is 1, must be 0..0"},
    {"an rnn with half a relu", ON_STEPS("rnn", "i4 i1 d0 i2 i0"),
     "the relu flag is 2, must be 0..1"},
    {"a cell of a third way", ON_STEPS("rnn", "i4 i1 d0 i0 i3"), "the way of its steps is 3"},
    {"a cell whose weights wrap", ON_STEPS("lstm", "i1048576 i1 d0 i0 i0"), ""},
    {"an embedding of numbers", ON_STEPS("embedding", "i4 i4"),
     "embedding1: needs nn_input_tokens"},
    {"smoothing 1", CONF "GRPH(i2 " VECTOR "=cross_entropy =l i0 d0 i1 i0 d1 i0) PARM(i0) ;",
     "cross_entropy1: smoothing is 1"},
    {"class weights below 0",
     CONF "GRPH(i2 " VECTOR "=cross_entropy =l i0 d0 i1 i0 d0 i4 r1 r1 r-1 r1) PARM(i0) ;",
     "class weight 2 is -1"},
    {"three class weights for four",
     CONF "GRPH(i2 " VECTOR "=cross_entropy =l i0 d0 i1 i0 d0 i3 r1 r1 r1) PARM(i0) ;",
     "3 class weights for 4 classes"},
    {"a loss with a weight of 0", ON_IMAGE("squared_error_with", "d0 i0 d0 i0 i0 i0"),
     "its weight is 0, must be above 0"},
    {"a loss with a weight of NaN", ON_IMAGE("absolute_error_with", "d0 i0 dnan i0 i0 i0"),
     "its weight is nan"},
    {"a delta of 0", ON_IMAGE("huber_with", "d0 i0 d1 i0 i0 i0"), "delta is 0, must be above 0"},
    {"a delta that is infinite", ON_IMAGE("huber_with", "dinf i0 d1 i0 i0 i0"), "delta is inf"},
    {"a huber without what it needs", ON_IMAGE("huber", ""), "delta is 0"},
    {"half a sum", ON_IMAGE("huber_with", "d1 i0 d1 i2 i0 i0"), "a flag is 2"},
    {"answers from far away", ON_IMAGE("huber_with", "d1 i0 d1 i0 i2147483647 i0"),
     "from is 2147483647"},
    {"answers from before the first", ON_IMAGE("huber_with", "d1 i0 d1 i0 i4294967295 i0"),
     "from is 4294967295"},
    {"a smoothed square", ON_IMAGE("squared_error_with", "d.5 i0 d1 i0 i0 i0"),
     "smoothing is 0.5, must be 0 but for a cross-entropy"},
    {"class weights of a square",
     CONF "GRPH(i2 " VECTOR "=squared_error_with =l i0 d0 i1 i0 d0 i4 r1 r1 r1 r1 d1 i0 i0 i0) "
     "PARM(i0) ;", "4 class weights, of a loss that has none"},
    {"a relu with something", ON_IMAGE("relu_with", ""), "no kind of layer is a \"relu_with\""},
    {"a kind that is _with alone", ON_IMAGE("_with", ""), "no kind of layer is a \"_with\""},
    {"a good model of two losses",
     CONF "GRPH(i4 " VECTOR LINEAR "=cross_entropy =a i0 d0 i1 i1 d0 i0 "
     "=huber_with =b i0 d0 i1 i1 d1 i0 d.5 i1 i0 i4294967295) " ARRAYS ";", NULL},
    {"a layer of nobody's", ON_IMAGE("custom", "x046d696e65"), "config.custom_layers has no mine"},
    {"a layer without a name", ON_IMAGE("custom", "x00"), "config.custom_layers has no "},
    {"a custom layer's name too long", ON_IMAGE("custom", "xff"), "a custom layer of 255"},
    {"a layer after the loss",
     CONF "GRPH(i3 " VECTOR "=squared_error =l i0 d0 i1 i0 =relu =r i0 d0 i1 i0) PARM(i0) ;",
     "relu1: "},

    /* the arrays */
    {"2^32-1 arrays", CONF GRAPH "PARM(i4294967295) ;", "the number of arrays is 4294967295"},
    {"one array too few", CONF GRAPH "PARM(i1 =out.weight i2 i3 i4 z48) ;", "1 arrays, but"},
    {"another name", CONF GRAPH "PARM(i2 =out.wait i2 i3 i4 =out.bias i1 i3 z60) ;",
     "array 0 is out.wait, where the layers have out.weight"},
    {"another shape", CONF GRAPH "PARM(i2 =out.weight i2 i4 i3 =out.bias i1 i3 z60) ;",
     "out.weight of another shape"},
    {"rank 0", CONF GRAPH "PARM(i2 =out.weight i0 =out.bias i1 i3 z60) ;", "the rank is 0"},
    {"rank 2^31", CONF GRAPH "PARM(i2 =out.weight i2147483648 z60) ;", "the rank is 2147483648"},
    {"a number too few", CONF GRAPH "PARM(i2 =out.weight i2 i3 i4 =out.bias i1 i3 z56) ;",
     "PARM, byte 252: cut short: 3 numbers should follow, 8 bytes do"},
    {"a number too many", CONF GRAPH "PARM(i2 =out.weight i2 i3 i4 =out.bias i1 i3 z64) ;",
     "4 bytes too many"},

#ifndef NN_NO_TRAINING
    /* what a checkpoint has beside the model */
    {"a good checkpoint", GOOD SGD_STATE STATE PROGRESS, NULL},
    {"layers that differ", GOOD SGD_STATE STATE "GRUP(i2 d0 d1 d.5 d2 i1) " PROGRESS, NULL},
    {"a rate below 0", GOOD SGD_STATE STATE "GRUP(i2 d1 d1 d-1 d2 i1) " PROGRESS, "a factor of -1"},
    {"a decay of NaN", GOOD SGD_STATE STATE "GRUP(i2 d1 dnan d1 d2 i1) " PROGRESS,
     "a factor of nan"},
    {"factors of a layer too many", GOOD SGD_STATE STATE "GRUP(i3 d1 d1 d1 d1 d1 d1 i0) " PROGRESS,
     "the number of layers is 3"},
    {"half a flag", GOOD SGD_STATE STATE "GRUP(i2 d1 d1 d1 d1 i2) " PROGRESS, "a flag is 2"},
    {"no such optimizer", GOOD OPTIMIZER("5", ".1", "0", "0", PLAIN, "i0") STATE PROGRESS,
     "OPTM, byte 280: the optimizer is 5"},
    {"a rate that is NaN", GOOD OPTIMIZER("0", "nan", "0", "0", PLAIN, "i0") STATE PROGRESS,
     "OPTM, byte 280: rate is nan, must be above 0"},
    {"a momentum that is infinite", GOOD OPTIMIZER("0", ".1", "inf", "0", PLAIN, "i1 z60") STATE
     PROGRESS, "OPTM, byte 280: momentum is inf, must be"},
    {"no such schedule", GOOD OPTIMIZER("0", ".1", "0", "8", PLAIN, "i0") STATE PROGRESS,
     "the schedule is 8"},
    {"a plateau that rises", GOOD OPTIMIZER("0", ".1", "0", "6", "q0 q0 q2 d1.5 d0 q3 q3 ", "i0")
     STATE PROGRESS, "schedule.gamma is 1.5, must be above 0 and below 1"},
    {"a good average and plateau",
     GOOD OPTIMIZER("0", ".1", "0", "6", "q0 q0 q2 d.5 d0 q3 q3 ", "i0") STATE
     "TUNE(i0 d.5 d.25 d0 d0 dinf d.5 q1 q3 z60) " PROGRESS, NULL},
    {"an average of 1", GOOD SGD_STATE STATE "TUNE(i0 d1 d0 d0 d0 dinf d1 q0 q3 z60) " PROGRESS,
     "average is 1, must be at least 0 and below 1"},
    {"an average cut short", GOOD SGD_STATE STATE
     "TUNE(i0 d.5 d0 d0 d0 dinf d1 q0 q3 z56) " PROGRESS, "15 numbers should follow, 56 bytes do"},
    {"amsgrad of no adam", GOOD SGD_STATE STATE "TUNE(i1 d0 d0 d0 d0 dinf d1 q0 q0 z60) " PROGRESS,
     "amsgrad goes with Adam"},
    {"a plateau's factor of 0", GOOD SGD_STATE STATE "TUNE(i0 d0 d0 d0 d0 dinf d0 q0 q0) " PROGRESS,
     "a plateau's loss inf, factor 0"},
    {"a plateau's loss of NaN", GOOD SGD_STATE STATE "TUNE(i0 d0 d0 d0 d0 dnan d1 q0 q0) " PROGRESS,
     "a plateau's loss nan"},
    {"momenta the wrong way round",
     GOOD SGD_STATE STATE "TUNE(i0 d0 d0 d.9 d.8 dinf d1 q0 q0) " PROGRESS,
     "schedule.momentum_low is 0.9, must be at least 0 and at most 0.8"},
    {"a threshold of NaN", GOOD SGD_STATE STATE "TUNE(i0 d0 dnan d0 d0 dinf d1 q0 q0) " PROGRESS,
     "schedule.threshold is nan"},
    {"a period of 0", GOOD OPTIMIZER("0", ".1", "0", "1", PLAIN, "i0") STATE PROGRESS,
     "OPTM, byte 280: schedule.period is 0, must be at least 1"},
    {"a total beyond 2^53",
     GOOD OPTIMIZER("0", ".1", "0", "0", "q0 q9007199254740993 q0 d0 d0 q3 q3 ", "i0") STATE
     PROGRESS, "total is 9007199254740993"},
    {"steps of 2^64-1",
     GOOD OPTIMIZER("0", ".1", "0", "0", "q0 q0 q0 d0 d0 q18446744073709551615 q3 ", "i0") STATE
     PROGRESS, "the number of steps is 18446744073709551615"},
    {"a state block too few", GOOD OPTIMIZER("3", ".1", "0", "0", PLAIN, "i1 z60") STATE PROGRESS,
     "the number of state blocks is 1, must be 2..2"},
    {"a state block cut short",
     GOOD OPTIMIZER("0", ".1", ".9", "0", PLAIN, "i1 z56") STATE PROGRESS,
     "15 numbers should follow, 56 bytes do"},
    {"2^64-1 steps of progress", GOOD SGD_STATE STATE
     "PROG(q18446744073709551615 q0 q0 q0 q0 d0 d0 d0 d0) ;", "step is 18446744073709551615"},
    {"carried state for 2^32-1 samples",
     CONF "GRPH(i2 =input =in i0 d0 i0 i2 i5 i1 =rnn =r i0 d0 i1 i0 i1 i1 d0 i0 i1) "
     "PARM(i4 =r.weight_ih_l0 i2 i1 i1 =r.weight_hh_l0 i2 i1 i1 =r.bias_ih_l0 i1 i1 "
     "=r.bias_hh_l0 i1 i1 z16) " SGD_STATE "STAT(q0 i4294967295) " PROGRESS,
     "samples of carried state is 4294967295"},
    {"carried state that is not there",
     CONF "GRPH(i2 =input =in i0 d0 i0 i2 i5 i1 =rnn =r i0 d0 i1 i0 i1 i1 d0 i0 i1) "
     "PARM(i4 =r.weight_ih_l0 i2 i1 i1 =r.weight_hh_l0 i2 i1 i1 =r.bias_ih_l0 i1 i1 "
     "=r.bias_hh_l0 i1 i1 z16) " SGD_STATE "STAT(q0 i1048576) " PROGRESS,
     "1048576 numbers should follow, 0 bytes do"},
#endif
};
enum { ATTACKS = sizeof attacks_table / sizeof *attacks_table };

static void attack_seal(uint8_t *data, size_t size);

/* The bytes of an attack; 0 when its notation is wrong. */
static size_t attack_bytes(const char *text, uint8_t *data) {
  static const uint8_t start[20] = {0x89, 0x6E, 0x6E, 0x0D, 0x0A, 0x1A, 0x0A, 0, 4, 3, 2, 1,
                                    1,    0,    0,    0,    4,    0,    0,    0};
  size_t at = 32, size = 32, section = 0;
  memset(data, 0, FUZZ_ROOM);
  memcpy(data, start, sizeof start);
  while (*text) {
    char word[64];
    size_t n = strcspn(text, " "), wide = 0;
    const int closes = n > 0 && text[n - 1] == ')' && text[0] != '=';
    if (n >= sizeof word) return 0;
    memcpy(word, text, n);
    word[n - (size_t)closes] = 0;
    text += n + strspn(text + n, " ");
    char *bracket = strchr(word, '(');
    const char *value = word + 1;
    if (bracket && word[0] != '=') { /* TAG(first word */
      section = at;
      memcpy(data + at, word, 4);
      at += 12;
      memmove(word, bracket + 1, strlen(bracket));
    }
    switch (word[0]) {
    case 'i': put(data + at, strtoull(value, NULL, 10), (int)(wide = 4)); break;
    case 'q': put(data + at, strtoull(value, NULL, 10), (int)(wide = 8)); break;
    case 'd':
    case 'r': {
      const double x = strtod(value, NULL);
      const float narrow = (float)x;
      uint64_t bits = 0;
      uint32_t low = 0;
      memcpy(&bits, &x, sizeof bits), memcpy(&low, &narrow, sizeof low);
      put(data + at, word[0] == 'd' ? bits : low, (int)(wide = word[0] == 'd' ? 8 : 4));
      break;
    }
    case '=':
      wide = strlen(word);
      data[at] = (uint8_t)(wide - 1);
      memcpy(data + at + 1, value, wide - 1);
      break;
    case 'x':
      for (; value[2 * wide] && value[2 * wide + 1]; wide++) {
        const char pair[3] = {value[2 * wide], value[2 * wide + 1], 0};
        data[at + wide] = (uint8_t)strtoul(pair, NULL, 16);
      }
      break;
    case 'z': wide = strtoul(value, NULL, 10); break;
    case '@': at = strtoul(value, NULL, 10); break;
    case '<': size = strtoul(value, NULL, 10); return size;
    case ';':
    case '!': attack_seal(data, size); break;
    case 0: break;
    default: return 0;
    }
    at += wide;
    if (at > FUZZ_ROOM - 64) return 0;
    if (closes) {
      put(data + section + 4, at - section - 12, 8);
      at += 4;
    }
    if (at > size) size = at;
  }
  return size;
}

#endif
