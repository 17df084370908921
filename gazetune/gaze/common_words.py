"""How common an English word is, in bands: a list written for this project, from no corpus and no published table.

Readers skip common words and dwell on rare ones, and of words equally long it is the commoner that is read faster.
Full counts would say more, but large free tables are share-alike; four bands, and a fifth for all other words, are
most of what a small predictor uses.
"""

from __future__ import annotations

_BANDS = (
    # The words that hold any sentence together.
    """the of and to in a is that was for on it with as be by he at his from i are this have not but had they or an
    which her she you were their its""",
    # Other function words and forms of be, have, do and the modals.
    """we all one there been has if more when will would who so no out up into than them can only other about some
    could time these two may then do first any my now such like our over him what your me because through must
    before between after did even most made where being should also well those very just how many much under
    against both each during while same another off until without within upon however since though although nor
    yet whether don't didn't it's isn't doesn't can't i'm he's that's there's you're they're us himself herself
    itself themselves every either neither few own too why again still never always often once here down back""",
    # Everyday words that nearly every page has some of.
    """new year years people way day man men world life old long great little good make know take see come think say
    said says get got go going went use used work works part place right left high small large next last young
    state states public three four five six seven eight nine ten hundred million thousand number general
    american house home family school university city country government war president group name named called
    known found given end later early born son daughter father mother wife husband brother children child women
    woman friend friends became become began begin moved lived died married served received took came gave won
    second third several around along among across toward towards above below behind near far away enough almost
    nearly perhaps ever really quite rather something nothing everything anything someone anyone everyone thing
    things lot kind sort better best bad worse worst big less least different important possible able available
    full whole half need needs want wants look looks looking feel feels felt seem seems seemed find finds keep
    kept let help show shows showed turn turned give gives tell told ask asked leave try tried call play played
    run set put open close hand head eyes face side water land money night days week weeks month months hour
    hours minutes today book story film movie music art love death power line case point fact example problem
    question answer system company business law order party member members national united north south east west
    english french white black red local late free true real sure yes please thanks thank hello okay hi""",
    # Common words of prose, news and reviews.
    """accept according account act action actor actors actually add added address age ago agree air album allow
    allowed alone already america announced appear appeared appears area areas army article artist association
    attack attempt attention audience author award awards band base based battle beautiful beginning behavior
    believe believed beyond bill bit blood board body books boy boys break bring british broke brought build
    building built buy california camera campaign capital car care career careful carry cast cause caused center
    central century certain certainly chance change changed changes character characters charge chief choice
    choose church cities class clear clearly club code cold college color comedy comes coming committee common
    community companies completely computer concerned conditions considered contain contains continue continued
    contract control cost couple course court cover create created critical culture current currently cut dark
    data date david deal decade decided decision deep degree department describe described design despite
    develop developed development difference difficult director discovered district doctor does doing done door
    drama drive due earlier earth easily easy economic editor education effect effects effort election else
    emotional employed ended energy enjoy entertaining entire especially established europe event events
    eventually everyday evidence exactly except expect expected experience explain eye fall families famous fans
    fast favorite feature features federal feeling feet fellow female fiction field fight figure filled films
    final finally fine finish fire focus follow followed following food foot force forces foreign form formed
    former forms forward founded france friday fun funny funds future gain game games george german germany girl
    girls goes gone graduate graduated ground growing growth guy hands happen happened happy hard having health
    hear heard heart heavy held henry hold hollywood hope hot huge human humor hundreds idea ideas image images
    include included includes including increase increased independent industry influence information inside
    instead institute interest interested interesting international involved island issue issues james january
    japanese job john joined june july king knew knowledge lack lady language largely latter lead leader leading
    learn learned leaves led legal length letter letters level light likely limited lines list literature living
    london longer looked lord los lose lost lower main major majority making male manager march mark market mary
    material matter mean meaning means medical meet meeting mental merely message met method middle might
    military mind minister minor minute miss model modern moment moments moral morning move movement movies
    moving musical natural nature necessary news newspaper nice none normal note noted novel november numbers
    october offer offered office officer official oil older ones opened opening opera opportunity original
    originally others otherwise outside paper park particular particularly parts past paul peace performance
    performances period person personal peter physical picture pictures piece places plan plans plays player
    plot poetry police policy political poor popular population position practice present press pretty previous
    price prime private prize probably process produced producer product production professor program project
    provide provided published purpose quality quickly race radio raised range rate read reading ready reason
    reasons recent recently record recorded records relationship released religious remain remained remains
    report required research rest result results return returned rich rights river road robert rock role room
    royal rules san saw scene scenes science scientific screen script sea season section seek seen self senate
    sense sent september series serious service services shall share short shot similar simple simply single
    sister situation size social society soldier soldiers song sound source soviet space special spent spirit
    sports stage stand standard star stars start started stay step stop stories street strong structure student
    students studied studies study style subject success successful suggest summer support surprise taken takes
    taking talk tale team technology television term terms test text theater theory thomas thought thoughts
    throughout times title together tone top total touch town trade tradition traditional training treatment
    trip trouble truth trying turns type types understand understanding union unique unit usually value values
    version view viewers voice vote wait walk wall washington watch watching ways whatever whose wide william
    window wish words word worked working worth write writer writers writing written wrong wrote york""",
)

RAREST = len(_BANDS)
"""Band of a word that is not listed."""

_BAND_OF = {word: band for band, words in enumerate(_BANDS) for word in words.split()}


def commonness_band(word: str) -> int:
    """Return the band of a lower-case word without outer punctuation: 0 the commonest, `RAREST` if not listed.

    Examples
    --------
    >>> [commonness_band(word) for word in ("the", "because", "house", "committee", "stapler")]
    [0, 1, 2, 3, 4]
    """
    return _BAND_OF.get(word, RAREST)
